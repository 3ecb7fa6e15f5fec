"""What every objective promises."""

from dataclasses import replace

import pytest
import torch

from framework.errors import UserError
from tests.contracts.checks import assert_reaches, unchanged
from tests.members import build
from tests.objectives.contrasts import example, parts_of
from tests.tiny import DYNAMICS, ROWS, TIMES, key_of, latent_spec, objective_sizes, requiring_gradient

LOOKING_AHEAD = {"LatentConsistency", "NextEmbedding"}
"""Objectives in which a last step of an episode has no loss."""
WITHOUT_PARAMETERS = {"LatentConsistency"}


@pytest.fixture(params=["gaussian", "categorical"])
def spec(request):
    return latent_spec(request.param)


@pytest.fixture
def objective(objective_name, spec):
    return build("objectives", objective_name, **objective_sizes(spec))


@pytest.fixture
def sample(spec):
    return example(spec)


def total(losses):
    return sum(loss.sum() for loss in losses.values())


def test_its_losses_have_the_names_that_it_declares(objective, sample):
    losses, metrics = objective(sample, DYNAMICS, key_of(0))
    assert tuple(losses) == objective.losses
    for loss in losses.values():
        assert loss.shape == (ROWS, TIMES)
        assert loss.dtype == torch.float32
        assert loss.isfinite().all()
    for value in metrics.values():
        assert value.dim() == 0
        assert value.isfinite()
        assert not value.requires_grad


def test_every_loss_learns(objective, sample):
    """Each has gradient for the latents or for a parameter."""
    changed = replace(sample, posterior=requiring_gradient(sample.posterior))
    for loss in objective(changed, DYNAMICS, key_of(0))[0].values():
        leaves = [*parts_of(changed.posterior), *objective.parameters()]
        gradients = torch.autograd.grad(loss.sum(), [leaf for leaf in leaves if leaf.requires_grad], retain_graph=True, allow_unused=True)
        assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


def test_the_latents_get_gradient_at_every_step(objective, objective_name, sample):
    """Posterior or prior: the sample, its statistics or the deterministic part."""
    changed = replace(sample, posterior=requiring_gradient(sample.posterior), prior=requiring_gradient(sample.prior))
    parts = [*parts_of(changed.posterior), *parts_of(changed.prior)]
    gradients = torch.autograd.grad(total(objective(changed, DYNAMICS, key_of(0))[0]), parts, allow_unused=True)
    reached = torch.stack([gradient.abs().sum(dim=-1) for gradient in gradients if gradient is not None]).sum(dim=0) > 0
    expected = torch.ones(ROWS, TIMES, dtype=torch.bool)
    if objective_name in LOOKING_AHEAD:
        expected[:, :-1] = sample.batch.episode[:, 1:] == sample.batch.episode[:, :-1]
        expected[:, -1] = False
    assert reached[expected].all()
    assert expected.sum() > ROWS * TIMES / 2


def test_every_parameter_learns(objective, objective_name, sample):
    losses, _ = objective(sample, DYNAMICS, key_of(0))
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    assert bool(parameters) == (objective_name not in WITHOUT_PARAMETERS)
    if parameters:
        assert_reaches(total(losses), parameters)


def test_it_draws_from_its_key_alone(objective, sample):
    before, _ = objective(sample, DYNAMICS, key_of(0))
    torch.manual_seed(99)
    after, _ = objective(sample, DYNAMICS, key_of(0))
    assert all(torch.equal(before[name], after[name]) for name in before)


TOO_SHORT = {"ActionConditionedCPC": 2, "LatentConsistency": 3, "NextEmbedding": 1, "Prototypes": 1, "TemporalPredictive": 1}
"""The longest sequences that are refused with the settings of these tests, and a warm-up of 1."""


def test_check_refuses_sequences_that_are_too_short_and_accepts_others(objective_name):
    settings = {"warm_up": 1} if objective_name in ("Prototypes", "TemporalPredictive") else {}
    objective, times = build("objectives", objective_name, **objective_sizes(), **settings), TOO_SHORT.get(objective_name, 0)
    objective.check(rows=4, times=max(TIMES, times + 2), extra=8)
    if times:
        with pytest.raises(UserError, match=rf"{objective_name}\..* and sequences are {times} steps long; bind a Replay.length"):
            objective.check(rows=4, times=times, extra=8)


def test_a_loss_has_no_side_effect(objective, sample):
    with unchanged(objective):
        objective(sample, DYNAMICS, key_of(0))


def test_its_diagnostics_are_numbers_and_its_pictures_images(objective, sample, spec):
    with torch.no_grad():
        metrics = objective.diagnose(sample, DYNAMICS, key_of(0))
        pictures = objective.pictures(sample, DYNAMICS, key_of(0)) if spec.kind == "gaussian" else {}
    assert all(value.dim() == 0 and value.isfinite() for value in metrics.values())
    assert all(picture.dtype == torch.uint8 and picture.dim() == 3 for picture in pictures.values())


def test_its_losses_are_float32_under_bfloat16(objective, sample):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses, _ = objective(sample, DYNAMICS, key_of(0))
    exact, _ = objective(sample, DYNAMICS, key_of(0))
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert torch.allclose(loss, exact[name], rtol=0.05, atol=0.05)
