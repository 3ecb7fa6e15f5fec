"""What every negative-sampling strategy promises, alone and around another."""

import math
from contextlib import suppress
from dataclasses import replace

import pytest
import torch

from framework.contrastive.contrast import Contrast, UnitVectors
from framework.contrastive.origin import Origin
from framework.data import ExtraCandidates
from framework.errors import UserError
from framework.functional import contrastive
from framework.functional.distributions import gaussian_scores
from tests.contracts.checks import unchanged
from tests.members import build, factory
from tests.tiny import LATENT, contrast, key_of, normal, origin, seeded

SIZES = [(2, 2), (3, 5)]
CRITIC, EMBEDDING = "CosineCritic", 5
"""A critic of unit vectors, so that they can be mixed too."""


def made(name: str, **settings):
    strategy = build("negatives", name, **settings)
    for each in strategy.each():
        each.allocate(EMBEDDING)
    return strategy


@pytest.fixture
def strategy(negatives_name):
    return made(negatives_name)


@pytest.fixture
def critic():
    return build("critics", CRITIC, latent=LATENT, embedding_size=EMBEDDING)


def apply(strategy, critic, steps: Origin, seed: int = 0):
    size = steps.row.shape[0]
    return strategy(contrast(torch.zeros(size, size), steps, critic, seed=seed), key_of(seed))


@pytest.mark.parametrize(("rows", "times"), SIZES)
def test_its_contrast_keeps_the_positive_and_a_negative_of_every_anchor(strategy, critic, rows, times):
    original = contrast(torch.zeros(rows * times, rows * times), origin(rows, times), critic)
    chosen = strategy(original, key_of(0))
    weights = chosen.log_weights
    assert chosen.scores.shape == weights.shape == (rows * times, chosen.candidates.row.shape[0])
    assert torch.equal(chosen.scores[:, : rows * times].diagonal(), original.scores.diagonal())
    assert chosen.scores.isfinite().all()
    assert weights.dtype == torch.float32
    assert (weights.isfinite() | weights.isneginf()).all()
    assert (weights.diagonal() == 0).all() or not strategy.keeps_positive
    assert (chosen.negative.sum(dim=1) >= 1).all()


def test_one_sequence_or_one_step_has_a_finite_loss_or_is_refused(strategy, critic):
    for rows, times in ((1, 4), (4, 1), (1, 1)):
        with suppress(UserError):
            chosen = apply(strategy, critic, origin(rows, times))
            assert contrastive.infonce_loss(chosen.scores, chosen.log_weights).isfinite().all()


def test_an_update_changes_its_choice_only_where_it_is_stateful(strategy, critic):
    before = apply(strategy, critic, origin(3, 4))
    strategy.after_update(normal(4, EMBEDDING, seed=8), origin(2, 2))
    after = apply(strategy, critic, origin(3, 4))
    assert torch.equal(before.log_weights, after.log_weights) != strategy.is_stateful
    assert strategy.is_stateful or not list(strategy.buffers())


def test_it_draws_from_its_key_alone(strategy, critic):
    before = apply(strategy, critic, origin(3, 4))
    torch.manual_seed(99)
    after = apply(strategy, critic, origin(3, 4))
    assert torch.equal(before.log_weights, after.log_weights)
    assert torch.equal(before.scores, after.scores)


def test_its_choice_is_the_same_under_bfloat16(strategy, critic):
    exact = apply(strategy, critic, origin(3, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = apply(strategy, critic, origin(3, 4))
    assert under.scores.dtype == under.log_weights.dtype == torch.float32
    assert torch.allclose(under.scores, exact.scores, atol=1e-4)
    assert torch.allclose(under.log_weights, exact.log_weights, atol=1e-4)


def test_it_stays_on_the_device_of_the_contrast(strategy, critic):
    """On the meta device, which refuses tensors of another."""
    with torch.device("meta"):
        steps, seed = Origin.of(torch.empty(3, 4, dtype=torch.long)), torch.empty((), dtype=torch.long)
    original = contrast(torch.zeros(12, 12), origin(3, 4), critic)
    source = replace(
        original.source,
        latents=original.source.latents.map(lambda part: part.to("meta")),
        embeddings=original.source.embeddings.to("meta"),
        score=critic.score,
        score_pairs=lambda latents, embeddings: critic.score(latents, embeddings).diagonal(),
        units=lambda latents, embeddings: UnitVectors(critic.embed_latents(latents), critic.embed_candidates(embeddings), critic.scale()),
        extra=ExtraCandidates(torch.empty(7, EMBEDDING, device="meta"), torch.empty(7, dtype=torch.long, device="meta")),
        action=original.source.action.to("meta"),
        is_first=original.source.is_first.to("meta"),
        predict=lambda action, anchors: source.latents.map(lambda part: part + action.sum(dim=-1, keepdim=True)),
    )
    critic.to("meta")
    chosen = strategy.to("meta")(Contrast.of(original.scores.to("meta"), steps, source), seed)
    assert chosen.scores.device == chosen.log_weights.device == chosen.candidates.row.device == torch.device("meta")
    strategy.after_update(torch.empty(12, EMBEDDING, device="meta"), steps)


def test_choosing_has_no_side_effect(strategy, critic):
    with unchanged(strategy):
        apply(strategy, critic, origin(3, 4))


def test_around_another_it_leaves_out_the_candidates_that_the_other_leaves_out(negatives_name, critic):
    if negatives_name == "InBatch":
        return
    wrapping = made(negatives_name, of=factory("negatives", "CrossSequence"))
    chosen = apply(wrapping, critic, origin(3, 4))
    own = (chosen.anchors.row[:, None] == chosen.candidates.row[None, :]) & ~chosen.positive
    assert chosen.log_weights[own].isneginf().all()
    assert [type(each).__name__ for each in wrapping.each()] == [negatives_name, "CrossSequence"]
    assert not wrapping.bounds_below()


def test_a_lower_bound_stays_below_the_information(strategy):
    """With the exact critic, on sequences of independent steps; two sequences, where leaving out the own one shows most."""
    if strategy.adds_candidates:
        return
    information, size, rows, times = 4.0, 4, 2, 8
    rho = math.sqrt(1 - math.exp(-2 * information / size))
    steps, generator, estimates = origin(rows, times), seeded(3), []
    for number in range(40):
        x, noise = torch.randn(2, rows * times, size, generator=generator)
        y = rho * x + math.sqrt(1 - rho**2) * noise
        scores = gaussian_scores(x, rho * y, torch.full_like(x, math.sqrt(1 - rho**2)))
        chosen = strategy(contrast(scores, steps), key_of(number))
        estimates.append(contrastive.infonce_estimate(chosen.scores, chosen.log_weights).mean())
    if strategy.is_lower_bound:
        assert torch.stack(estimates).mean() <= information
    assert torch.stack(estimates).mean() > 0.5


def test_the_gradient_reaches_every_score_that_is_kept(strategy):
    scores = normal(12, 12, seed=4).requires_grad_()
    if strategy.adds_candidates:
        return
    chosen = strategy(contrast(scores, origin(3, 4)), key_of(0))
    (gradient,) = torch.autograd.grad(contrastive.infonce_loss(chosen.scores, chosen.log_weights).sum(), scores)
    assert (gradient[chosen.negative] != 0).all()
    assert (gradient[chosen.log_weights.isneginf() & ~chosen.positive] == 0).all()
