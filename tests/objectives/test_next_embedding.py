"""Next-embedding prediction: what a step may read, what it is compared with, and where an episode ends."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from framework.errors import UserError
from framework.objectives.next_embedding import NextEmbedding
from tests.members import build
from tests.tiny import DYNAMICS, ROWS, TIMES, batch, inferred, latent, normal, objective_sizes, requiring_gradient, seed_of


def make(**settings) -> NextEmbedding:
    torch.manual_seed(0)
    return build("objectives", "NextEmbedding", **objective_sizes(), **settings)


def given(posterior=None, embedding=None):
    """The second row begins a new episode at its third step."""
    return inferred(
        latent(ROWS, TIMES) if posterior is None else posterior,
        latent(ROWS, TIMES, seed=5),
        normal(ROWS, TIMES, 5, seed=3) if embedding is None else embedding,
        batch(),
    )


def read(objective, seen):
    """What the transformer makes of each step."""
    start = objective.transformer.nothing(ROWS)
    return objective.transformer(objective.token(seen.posterior.features), seen.batch.is_first, start)[0]


def pairs(seen, step):
    """Where a step and the one so much later are of one episode."""
    return [(b, t) for b in range(ROWS) for t in range(TIMES - step) if not seen.batch.is_first[b, t + 1 : t + step + 1].any()]


def test_a_step_reads_nothing_later_and_no_other_episode():
    """The gradient of the cosine at one step says which latents it read."""
    objective, posterior = make(distance="cosine"), requiring_gradient(latent(ROWS, TIMES))
    loss = objective(given(posterior), DYNAMICS, seed_of(0))[0]["next_embedding"]
    for (row, time), expected in {(0, 2): [(0, 0), (0, 1), (0, 2)], (1, 3): [(1, 2), (1, 3)], (1, 0): [(1, 0)]}.items():
        (gradient,) = torch.autograd.grad(loss[row, time], [posterior.stochastic], retain_graph=True)
        assert [tuple(place) for place in gradient.abs().sum(dim=-1).nonzero().tolist()] == expected


def test_pairs_across_the_end_of_an_episode_and_the_last_steps_count_for_nothing():
    losses, _ = make(distance="cosine", horizon=2)(given(), DYNAMICS, seed_of(0))
    counted = {(b, t) for step in (1, 2) for b, t in pairs(given(), step)}
    assert {tuple(place) for place in losses["next_embedding"].nonzero().tolist()} == counted
    assert len(counted) == ROWS * (TIMES - 1) - 1


def test_what_is_no_target_does_not_count():
    """The embedding of a first step is nobody's next one."""
    embedding = normal(ROWS, TIMES, 5, seed=3)
    changed = embedding.clone()
    changed[:, 0], changed[1, 2] = 50.0, -50.0
    objective = make(horizon=1)
    one, other = (objective(given(embedding=each), DYNAMICS, seed_of(0))[0]["next_embedding"] for each in (embedding, changed))
    assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("distance", ["barlow", "cosine"])
def test_it_equals_loops_over_the_pairs(distance):
    objective, seen = make(distance=distance, horizon=2, discount=0.5, redundancy=0.1), given()
    token, expected, cosines = read(objective, seen), torch.zeros(ROWS, TIMES), []
    for step, weight in ((1, 1 / 1.5), (2, 0.5 / 1.5)):
        counted = pairs(seen, step)
        told = torch.stack([objective.predictors[step - 1](token[b, t]) for b, t in counted]).detach()
        goal = torch.stack([seen.embedding[b, t + step] for b, t in counted])
        cosine = F.cosine_similarity(told, goal, dim=-1)
        cosines.append(cosine.mean())
        if distance == "cosine":
            for place, found in zip(counted, cosine, strict=True):
                expected[place] += weight * (1 - found)
            continue
        correlation = torch.corrcoef(torch.cat([told, goal], dim=1).T)[:5, 5:]
        apart = (1 - correlation.diagonal()).square().sum()
        expected += weight * (apart + 0.1 * (correlation.square().sum() - correlation.diagonal().square().sum()))
    losses, metrics = objective(seen, DYNAMICS, seed_of(0))
    assert torch.allclose(losses["next_embedding"], expected, atol=2e-3)
    assert metrics["model/next_embedding_cosine"].item() == pytest.approx(torch.stack(cosines).mean().item(), abs=1e-5)


def test_one_step_alone_needs_no_discount():
    one, other = (make(horizon=1, discount=discount)(given(), DYNAMICS, seed_of(0))[0]["next_embedding"] for discount in (1.0, 0.5))
    assert torch.equal(one, other)


def test_it_learns_to_foresee():
    """Embeddings that turn by a fixed angle, told by the latents."""
    angle = torch.arange(TIMES)[None] * 0.7 + torch.arange(ROWS)[:, None] * 1.3
    turning = torch.stack([angle.cos(), angle.sin(), (2 * angle).cos(), (2 * angle).sin()], dim=-1)
    posterior = replace(latent(ROWS, TIMES), stochastic=turning)
    objective, found = make(distance="cosine", units=16), []
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.02)
    for number in range(40):
        losses, metrics = objective(given(posterior, F.pad(turning, (0, 1))), DYNAMICS, seed_of(number))
        found.append(metrics["model/next_embedding_cosine"].item())
        optimizer.zero_grad()
        losses["next_embedding"].mean().backward()
        optimizer.step()
    assert found[0] < 0.6
    assert found[-1] > 0.95


@pytest.mark.parametrize("distance", ["barlow", "cosine"])
def test_the_embedding_gets_no_gradient(distance):
    embedding, posterior = normal(ROWS, TIMES, 5, seed=3).requires_grad_(), requiring_gradient(latent(ROWS, TIMES))
    loss = make(distance=distance)(given(posterior, embedding), DYNAMICS, seed_of(0))[0]["next_embedding"].sum()
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
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)


def test_a_horizon_beyond_the_sequences_is_refused():
    with pytest.raises(UserError, match=rf"NextEmbedding.horizon = {TIMES}, and sequences are {TIMES} steps long.*Replay.length"):
        make(horizon=TIMES)(given(), DYNAMICS, seed_of(0))
