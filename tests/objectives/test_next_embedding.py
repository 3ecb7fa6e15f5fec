"""Next-embedding prediction: the context of a step, its targets, and the end of an episode."""

import pytest
import torch
import torch.nn.functional as F

from framework.errors import UserError
from framework.objectives.next_embedding import NextEmbedding
from tests.members import build
from tests.tiny import DYNAMICS, ROWS, TIMES, batch, inferred, key_of, latent, normal, objective_sizes, requiring_gradient


def make(**settings) -> NextEmbedding:
    torch.manual_seed(0)
    return build("objectives", "NextEmbedding", **objective_sizes(), **settings)


def example(posterior=None, embedding=None):
    """The second row begins a new episode at its third step."""
    return inferred(
        latent(ROWS, TIMES) if posterior is None else posterior,
        latent(ROWS, TIMES, seed=5),
        normal(ROWS, TIMES, 5, seed=3) if embedding is None else embedding,
        batch(),
    )


def context_of(objective, sample):
    """The output of the transformer at each step."""
    start = objective.transformer.empty_past(ROWS)
    return objective.transformer(objective.token(sample.posterior.features), sample.batch.is_first, start)[0]


def pairs(sample, step):
    """The steps that are of one episode with the step so many later."""
    return [(b, t) for b in range(ROWS) for t in range(TIMES - step) if not sample.batch.is_first[b, t + 1 : t + step + 1].any()]


def test_a_step_attends_to_no_later_one_and_to_no_other_episode():
    """The gradient of the cosine at one step shows its context."""
    objective, posterior = make(distance="cosine"), requiring_gradient(latent(ROWS, TIMES))
    loss = objective(example(posterior), DYNAMICS, key_of(0))[0]["next_embedding"]
    for (row, time), expected in {(0, 2): [(0, 0), (0, 1), (0, 2)], (1, 3): [(1, 2), (1, 3)], (1, 0): [(1, 0)]}.items():
        (gradient,) = torch.autograd.grad(loss[row, time], [posterior.stochastic], retain_graph=True)
        assert [tuple(place) for place in gradient.abs().sum(dim=-1).nonzero().tolist()] == expected


def test_pairs_across_the_end_of_an_episode_and_the_last_steps_have_no_loss():
    losses, _ = make(distance="cosine", horizon=2)(example(), DYNAMICS, key_of(0))
    counted = {(b, t) for step in (1, 2) for b, t in pairs(example(), step)}
    assert {tuple(place) for place in losses["next_embedding"].nonzero().tolist()} == counted
    assert len(counted) == ROWS * (TIMES - 1) - 1


def test_embeddings_of_first_steps_are_no_targets():
    """The embedding of a first step follows no other."""
    embedding = normal(ROWS, TIMES, 5, seed=3)
    changed = embedding.clone()
    changed[:, 0], changed[1, 2] = 50.0, -50.0
    objective = make(horizon=1)
    one, other = (objective(example(embedding=each), DYNAMICS, key_of(0))[0]["next_embedding"] for each in (embedding, changed))
    assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("distance", ["barlow", "cosine"])
def test_the_loss_equals_loops_over_the_pairs(distance):
    objective, sample = make(distance=distance, horizon=2, discount=0.5, redundancy=0.1), example()
    token, expected, cosines = context_of(objective, sample), torch.zeros(ROWS, TIMES), []
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
    losses, metrics = objective(sample, DYNAMICS, key_of(0))
    assert torch.allclose(losses["next_embedding"], expected, atol=2e-3)
    assert metrics["model/next_embedding_cosine"].item() == pytest.approx(torch.stack(cosines).mean().item(), abs=1e-5)


@pytest.mark.parametrize("distance", ["barlow", "cosine"])
def test_the_embedding_has_no_gradient(distance):
    embedding, posterior = normal(ROWS, TIMES, 5, seed=3).requires_grad_(), requiring_gradient(latent(ROWS, TIMES))
    loss = make(distance=distance)(example(posterior, embedding), DYNAMICS, key_of(0))[0]["next_embedding"].sum()
    of_embedding, of_latent = torch.autograd.grad(loss, [embedding, posterior.deterministic], allow_unused=True)
    assert of_embedding is None
    assert of_latent.abs().sum() > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 0}, r"NextEmbedding.horizon = 0 must be at least 1"),
        ({"discount": 1.5}, r"NextEmbedding.discount = 1.5 above 0 and at most 1"),
        ({"redundancy": -1.0}, r"NextEmbedding.redundancy = -1.0 0 or more"),
        ({"units": 6, "attention_heads": 2}, r"NextEmbedding.units = 6 must be a multiple of 4"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)
