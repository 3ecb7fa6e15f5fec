"""Next-embedding prediction: the context of a step, its targets, and the end of an episode."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from framework.objectives.next_embedding import NextEmbedding
from tests.members import build
from tests.objectives.contrasts import example
from tests.tiny import DYNAMICS, ROWS, TIMES, latent, normal, objective_sizes, requiring_gradient, seed_of


def make(**settings) -> NextEmbedding:
    torch.manual_seed(0)
    return build("objectives", "NextEmbedding", **objective_sizes(), **settings)


def pairs(sample, step):
    """The steps that are of one episode with the step so many later."""
    return [(b, t) for b in range(ROWS) for t in range(TIMES - step) if not sample.batch.is_first[b, t + 1 : t + step + 1].any()]


def test_a_step_attends_to_no_later_one_and_to_no_other_episode():
    """The gradient of the cosine at one step shows its context."""
    objective, posterior = make(distance="cosine"), requiring_gradient(latent(ROWS, TIMES))
    loss = objective(replace(example(), posterior=posterior), DYNAMICS, seed_of(0))[0]["next_embedding"]
    for (row, time), expected in {(0, 2): [(0, 0), (0, 1), (0, 2)], (1, 3): [(1, 2), (1, 3)], (1, 0): [(1, 0)]}.items():
        (gradient,) = torch.autograd.grad(loss[row, time], [posterior.stochastic], retain_graph=True)
        assert [tuple(place) for place in gradient.abs().sum(dim=-1).nonzero().tolist()] == expected


@pytest.mark.parametrize("distance", ["barlow", "cosine"])
def test_the_loss_equals_loops_over_the_pairs(distance):
    objective, sample = make(distance=distance, horizon=2, discount=0.5, redundancy=0.1), example()
    start = objective.transformer.empty_past(ROWS)
    token, _ = objective.transformer(objective.token(sample.posterior.features), sample.batch.is_first, start)
    expected, cosines = torch.zeros(ROWS, TIMES), []
    for step, weight in ((1, 1 / 1.5), (2, 0.5 / 1.5)):
        counted = pairs(sample, step)
        prediction = torch.stack([objective.predictors[step - 1](token[b, t]) for b, t in counted]).detach()
        goal = torch.stack([sample.embedding[b, t + step] for b, t in counted])
        cosine = F.cosine_similarity(prediction, goal, dim=-1)
        cosines.append(cosine.mean())
        if distance == "cosine":
            for place, value in zip(counted, cosine, strict=True):
                expected[place] += weight * (1 - value)
            continue
        correlation = torch.corrcoef(torch.cat([prediction, goal], dim=1).T)[:5, 5:]
        apart = (1 - correlation.diagonal()).square().sum()
        expected += weight * (apart + 0.1 * (correlation.square().sum() - correlation.diagonal().square().sum()))
    losses, metrics = objective(sample, DYNAMICS, seed_of(0))
    assert torch.allclose(losses["next_embedding"], expected, atol=2e-3)
    assert metrics["model/next_embedding_cosine"].item() == pytest.approx(torch.stack(cosines).mean().item(), abs=1e-5)


@pytest.mark.parametrize("distance", ["barlow", "cosine"])
def test_the_embedding_has_no_gradient(distance):
    embedding, posterior = normal(ROWS, TIMES, 5, seed=3).requires_grad_(), requiring_gradient(latent(ROWS, TIMES))
    loss = make(distance=distance)(replace(example(), posterior=posterior, embedding=embedding), DYNAMICS, seed_of(0))[0][
        "next_embedding"
    ].sum()
    of_embedding, of_latent = torch.autograd.grad(loss, [embedding, posterior.deterministic], allow_unused=True)
    assert of_embedding is None
    assert of_latent.abs().sum() > 0
