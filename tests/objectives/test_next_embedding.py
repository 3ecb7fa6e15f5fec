"""Next-embedding prediction: the context of a step, its targets, and the end of an episode."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from framework.errors import UserError
from framework.objectives.next_embedding import NextEmbedding
from framework.testing.samples import DYNAMICS, ROWS, TIMES, example, key_of, latent, normal, objective_sizes, requiring_gradient
from tests.members import build
from tests.objectives.contrasts import pairs


def make(**settings) -> NextEmbedding:
    torch.manual_seed(0)
    return build("objectives", "NextEmbedding", **objective_sizes(), **settings)


def test_sequences_longer_than_its_positions_are_refused():
    make(longest=5).check(rows=2, times=5, extra=0)
    with pytest.raises(UserError, match=r"NextEmbedding.longest = 4 steps have a position, and sequences are 5 steps long"):
        make(longest=4).check(rows=2, times=5, extra=0)


def test_a_step_attends_to_no_later_one_and_to_no_other_episode():
    """The gradient of the cosine at one step shows its context."""
    objective, posterior = make(distance="cosine"), requiring_gradient(latent(ROWS, TIMES))
    loss = objective(replace(example(), posterior=posterior), DYNAMICS, key_of(0))[0]["next_embedding"]
    for (row, time), expected in {(0, 2): [(0, 0), (0, 1), (0, 2)], (1, 3): [(1, 2), (1, 3)], (1, 0): [(1, 0)]}.items():
        (gradient,) = torch.autograd.grad(loss[row, time], [posterior.stochastic], retain_graph=True)
        assert [tuple(place) for place in gradient.abs().sum(dim=-1).nonzero().tolist()] == expected


def written_out(objective, sample):
    """The context of each step, one prefix of its episode at a time; `objective` has one layer of one head."""
    (layer,), positions = objective.layers, objective.positions.unflatten(0, (-1, 2))
    context = torch.zeros(ROWS, TIMES, 8)
    for b in range(ROWS):
        for t in range(TIMES):
            times = [s for s in range(t + 1) if sample.batch.episode[b, s] == sample.batch.episode[b, t]]
            tokens = []
            for s in times:
                tokens.append(objective.latent_token(sample.posterior.features[b, s]) + positions[s, 0])
                tokens.append(objective.action_token(sample.batch.action[b, s]) + positions[s, 1])
            normed = layer.norm1(torch.stack(tokens))
            query, key, value = F.linear(normed, layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias).chunk(3, dim=-1)
            attended = torch.softmax(key @ query[-1] / 8**0.5, dim=0) @ value
            token = tokens[-1] + layer.self_attn.out_proj(attended)
            context[b, t] = token + layer.linear2(F.gelu(layer.linear1(layer.norm2(token))))
    return context


@pytest.mark.parametrize("distance", ["barlow", "cosine"])
def test_the_loss_equals_loops_over_the_pairs(distance):
    objective, sample = make(distance=distance, horizon=2, discount=0.5, redundancy=0.1), example()
    context = written_out(objective, sample)
    expected, cosines = torch.zeros(ROWS, TIMES), []
    for step, weight in ((1, 1 / 1.5), (2, 0.5 / 1.5)):
        counted = pairs(sample, step)
        prediction = torch.stack([objective.predictors[step - 1](context[b, t]) for b, t in counted]).detach()
        goal = torch.stack([sample.embedding[b, t + step] for b, t in counted])
        cosine = F.cosine_similarity(prediction, goal, dim=-1)
        cosines.append(cosine.mean())
        if distance == "cosine":
            for place, value in zip(counted, cosine, strict=True):
                expected[place] += weight * (1 - value) * ROWS * TIMES / len(counted)
            continue
        correlation = torch.corrcoef(torch.cat([prediction, goal], dim=1).T)[:5, 5:]
        correlation = correlation * (1 - 1 / len(counted))
        apart = (1 - correlation.diagonal()).square().sum()
        expected += weight * (apart + 0.1 * (correlation.square().sum() - correlation.diagonal().square().sum()))
    losses, metrics = objective(sample, DYNAMICS, key_of(0))
    assert torch.allclose(losses["next_embedding"], expected, atol=2e-3)
    assert metrics["model/next_embedding_cosine"].item() == pytest.approx(torch.stack(cosines).mean().item(), abs=1e-5)


@pytest.mark.parametrize("distance", ["barlow", "cosine"])
def test_the_embedding_has_no_gradient(distance):
    embedding, posterior = normal(ROWS, TIMES, 5, seed=3).requires_grad_(), requiring_gradient(latent(ROWS, TIMES))
    loss = make(distance=distance)(replace(example(), posterior=posterior, embedding=embedding), DYNAMICS, key_of(0))[0][
        "next_embedding"
    ].sum()
    of_embedding, of_latent = torch.autograd.grad(loss, [embedding, posterior.deterministic], allow_unused=True)
    assert of_embedding is None
    assert of_latent.abs().sum() > 0
