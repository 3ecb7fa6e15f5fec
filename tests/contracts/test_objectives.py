"""What every objective promises."""

import pytest
import torch

from tests.members import build
from tests.tiny import LATENT, OBSERVATIONS, ROWS, TIMES, batch, latent, normal, requiring_gradient

EMBEDDING = 5


@pytest.fixture
def objective(objective_name):
    return build("objectives", objective_name, latent=LATENT, embedding_size=EMBEDDING, observation=OBSERVATIONS["both"])


@pytest.fixture
def given():
    return latent(ROWS, TIMES), latent(ROWS, TIMES, seed=5), normal(ROWS, TIMES, EMBEDDING, seed=3), batch("both")


def test_its_losses_have_the_names_that_it_declares(objective, given):
    losses, metrics = objective(*given)
    assert tuple(losses) == objective.losses
    for loss in losses.values():
        assert loss.shape == (ROWS, TIMES)
        assert loss.dtype == torch.float32
        assert loss.isfinite().all()
    for value in metrics.values():
        assert value.dim() == 0
        assert value.isfinite()
        assert not value.requires_grad


def test_the_latent_gets_gradient_at_every_step(objective, given):
    _, prior, embedding, data = given
    posterior = requiring_gradient(given[0])
    losses, _ = objective(posterior, prior, embedding, data)
    (gradient,) = torch.autograd.grad(sum(loss.sum() for loss in losses.values()), posterior.stochastic)
    assert (gradient.abs().sum(dim=-1) > 0).all()


def test_every_parameter_learns(objective, given):
    losses, _ = objective(*given)
    gradients = torch.autograd.grad(sum(loss.sum() for loss in losses.values()), list(objective.parameters()))
    assert gradients
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_it_draws_nothing_at_random(objective, given):
    before, _ = objective(*given)
    torch.manual_seed(99)
    after, _ = objective(*given)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_it_says_on_request_is_numbers_and_pictures(objective, given):
    posterior, _, embedding, data = given
    with torch.no_grad():
        said, shown = objective.diagnose(posterior, embedding, data), objective.pictures(posterior, embedding, data)
    assert all(value.dim() == 0 and value.isfinite() for value in said.values())
    assert all(picture.dtype == torch.uint8 and picture.dim() == 3 for picture in shown.values())


def test_it_says_the_same_under_bfloat16(objective, given):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses, _ = objective(*given)
    exact, _ = objective(*given)
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert torch.allclose(loss, exact[name], rtol=0.05, atol=0.05)
