"""What every objective promises."""

import pytest
import torch

from tests.members import build
from tests.tiny import LATENT, OBSERVATIONS, ROWS, TIMES, batch, filtered, latent, normal, requiring_gradient, seed_of

EMBEDDING = 5


@pytest.fixture
def objective(objective_name):
    return build("objectives", objective_name, latent=LATENT, embedding_size=EMBEDDING, observation=OBSERVATIONS["both"])


def seen(posterior=None):
    given = latent(ROWS, TIMES) if posterior is None else posterior
    return filtered(given, latent(ROWS, TIMES, seed=5), normal(ROWS, TIMES, EMBEDDING, seed=3), batch("both"))


def test_its_losses_have_the_names_that_it_declares(objective):
    losses, metrics = objective(seen(), seed_of(0))
    assert tuple(losses) == objective.losses
    for loss in losses.values():
        assert loss.shape == (ROWS, TIMES)
        assert loss.dtype == torch.float32
        assert loss.isfinite().all()
    for value in metrics.values():
        assert value.dim() == 0
        assert value.isfinite()
        assert not value.requires_grad


def test_the_latent_gets_gradient_at_every_step(objective):
    posterior = requiring_gradient(latent(ROWS, TIMES))
    losses, _ = objective(seen(posterior), seed_of(0))
    (gradient,) = torch.autograd.grad(sum(loss.sum() for loss in losses.values()), posterior.stochastic)
    assert (gradient.abs().sum(dim=-1) > 0).all()


def test_every_parameter_learns(objective):
    losses, _ = objective(seen(), seed_of(0))
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(sum(loss.sum() for loss in losses.values()), parameters)
    assert gradients
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_it_draws_from_its_seed_alone(objective):
    before, _ = objective(seen(), seed_of(0))
    torch.manual_seed(99)
    after, _ = objective(seen(), seed_of(0))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_loss_has_no_side_effect(objective):
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    objective(seen(), seed_of(0))
    assert all(torch.equal(before[name], value) for name, value in objective.state_dict().items())


def test_what_it_says_on_request_is_numbers_and_pictures(objective):
    with torch.no_grad():
        said, shown = objective.diagnose(seen(), seed_of(0)), objective.pictures(seen(), seed_of(0))
    assert all(value.dim() == 0 and value.isfinite() for value in said.values())
    assert all(picture.dtype == torch.uint8 and picture.dim() == 3 for picture in shown.values())


def test_it_says_the_same_under_bfloat16(objective):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses, _ = objective(seen(), seed_of(0))
    exact, _ = objective(seen(), seed_of(0))
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert torch.allclose(loss, exact[name], rtol=0.05, atol=0.05)
