"""What every objective promises."""

from dataclasses import replace

import pytest
import torch

from tests.members import build
from tests.tiny import DYNAMICS, ROWS, TIMES, batch, inferred, latent, latent_spec, normal, objective_sizes, requiring_gradient, seed_of

LOOKING_AHEAD = {"LatentConsistency", "NextEmbedding"}
"""A step that nothing follows in its episode is of no use to these."""
WITHOUT_PARAMETERS = {"LatentConsistency"}


@pytest.fixture(params=["gaussian", "categorical"])
def spec(request):
    return latent_spec(request.param)


@pytest.fixture
def objective(objective_name, spec):
    return build("objectives", objective_name, **objective_sizes(spec))


@pytest.fixture
def seen(spec):
    return inferred(latent(ROWS, TIMES, spec=spec), latent(ROWS, TIMES, spec=spec, seed=5), normal(ROWS, TIMES, 5, seed=3), batch("both"))


def total(losses):
    return sum(loss.sum() for loss in losses.values())


def test_its_losses_have_the_names_that_it_declares(objective, seen):
    losses, metrics = objective(seen, DYNAMICS, seed_of(0))
    assert tuple(losses) == objective.losses
    for loss in losses.values():
        assert loss.shape == (ROWS, TIMES)
        assert loss.dtype == torch.float32
        assert loss.isfinite().all()
    for value in metrics.values():
        assert value.dim() == 0
        assert value.isfinite()
        assert not value.requires_grad


def test_every_loss_learns(objective, seen):
    """Each has gradient for the latents or for a parameter."""
    given = replace(seen, posterior=requiring_gradient(seen.posterior))
    for loss in objective(given, DYNAMICS, seed_of(0))[0].values():
        leaves = [*parts_of(given.posterior), *objective.parameters()]
        found = torch.autograd.grad(loss.sum(), [leaf for leaf in leaves if leaf.requires_grad], retain_graph=True, allow_unused=True)
        assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in found)


def test_the_latents_get_gradient_at_every_step(objective, objective_name, seen):
    """Posterior or prior: the sample, its statistics or the deterministic part."""
    given = replace(seen, posterior=requiring_gradient(seen.posterior), prior=requiring_gradient(seen.prior))
    parts = [*parts_of(given.posterior), *parts_of(given.prior)]
    found = torch.autograd.grad(total(objective(given, DYNAMICS, seed_of(0))[0]), parts, allow_unused=True)
    reached = torch.stack([gradient.abs().sum(dim=-1) for gradient in found if gradient is not None]).sum(dim=0) > 0
    expected = torch.ones(ROWS, TIMES, dtype=torch.bool)
    if objective_name in LOOKING_AHEAD:
        expected[:, :-1] = seen.batch.episode[:, 1:] == seen.batch.episode[:, :-1]
        expected[:, -1] = False
    assert reached[expected].all()
    assert expected.sum() > ROWS * TIMES / 2


def test_every_parameter_learns(objective, objective_name, seen):
    losses, _ = objective(seen, DYNAMICS, seed_of(0))
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    assert bool(parameters) == (objective_name not in WITHOUT_PARAMETERS)
    if parameters:
        gradients = torch.autograd.grad(total(losses), parameters)
        assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_it_draws_from_its_seed_alone(objective, seen):
    before, _ = objective(seen, DYNAMICS, seed_of(0))
    torch.manual_seed(99)
    after, _ = objective(seen, DYNAMICS, seed_of(0))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_loss_has_no_side_effect(objective, seen):
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    objective(seen, DYNAMICS, seed_of(0))
    assert all(torch.equal(before[name], value) for name, value in objective.state_dict().items())


def test_what_it_says_on_request_is_numbers_and_pictures(objective, seen):
    with torch.no_grad():
        said, shown = objective.diagnose(seen, DYNAMICS, seed_of(0)), objective.pictures(seen, DYNAMICS, seed_of(0))
    assert all(value.dim() == 0 and value.isfinite() for value in said.values())
    assert all(picture.dtype == torch.uint8 and picture.dim() == 3 for picture in shown.values())


def test_it_says_the_same_under_bfloat16(objective, seen):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses, _ = objective(seen, DYNAMICS, seed_of(0))
    exact, _ = objective(seen, DYNAMICS, seed_of(0))
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert torch.allclose(loss, exact[name], rtol=0.05, atol=0.05)


def parts_of(belief):
    return [belief.stochastic, belief.deterministic, *belief.statistics.values()]
