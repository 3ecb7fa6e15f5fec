"""Dreamer V1's state-space model, against its equations."""

import pytest
import torch
import torch.nn.functional as F

from framework.dynamics.gaussian_rssm import GaussianRSSM
from framework.errors import UserError
from framework.functional.kl import gaussian_kl
from tests.tiny import normal, requiring_gradient, seeded


def make(**changes) -> GaussianRSSM:
    sizes = {"deterministic": 6, "stochastic": 4, "hidden": 8, "free_nats": 0.0}
    return GaussianRSSM(embedding_size=5, action_size=2, **(sizes | changes))


def filtered(model: GaussianRSSM):
    is_first = torch.zeros(2, 4, dtype=torch.bool)
    is_first[:, 0] = True
    noise = model.draw_noise(2, 4, generator=seeded(2))
    return model.observe(normal(2, 4, 5), normal(2, 4, 2, seed=1), is_first, model.initial(2), noise)


def split(raw, floor=0.1):
    mean, std = raw.chunk(2, dim=-1)
    return mean, F.softplus(std) + floor


def test_a_step_equals_the_equations_of_the_paper():
    model = make()
    embedding, action, noise = normal(3, 5), normal(3, 2, seed=1), normal(3, 4, seed=2)
    before = model.imagine_step(model.initial(3), action, noise)
    cell = torch.nn.GRUCell(8, 6)
    cell.load_state_dict(model.cell.state_dict())
    joined = torch.cat([model.from_latent.weight, model.from_action.weight], dim=1)
    joined_input = F.elu(torch.cat([before.stochastic, action], dim=-1) @ joined.T + model.from_latent.bias)
    h = cell(joined_input, before.deterministic)
    prior = split(model.prior_statistics(F.elu(model.prior_hidden(h))))
    joined = torch.cat([model.posterior_hidden.weight, model.from_embedding.weight], dim=1)
    hidden = F.elu(torch.cat([h, embedding], dim=-1) @ joined.T + model.posterior_hidden.bias)
    posterior = split(model.posterior_statistics(hidden))
    imagined = model.imagine_step(before, action, noise)
    observed = model.observe_step(before, embedding, action, torch.zeros(3, dtype=torch.bool), noise)
    for latent, (mean, std) in ((imagined, prior), (observed, posterior)):
        assert torch.allclose(latent.deterministic, h, atol=1e-6)
        assert torch.allclose(latent.statistics["mean"], mean, atol=1e-6)
        assert torch.allclose(latent.statistics["std"], std, atol=1e-6)
        assert torch.allclose(latent.stochastic, mean + std * noise, atol=1e-6)


def test_the_paper_has_230_features():
    assert GaussianRSSM(embedding_size=1024, action_size=6).latent.feature_size == 230


def test_no_standard_deviation_is_below_the_floor():
    posterior, prior = filtered(make(minimum_std=0.5))
    assert posterior.statistics["std"].min() > 0.5
    assert prior.statistics["std"].min() > 0.5


def test_its_kl_is_that_of_gaussians_with_its_convention_of_free_nats():
    model = make(free_nats=3.0, free_nats_on="step")
    posterior, prior = filtered(make())
    plain = gaussian_kl(*posterior.statistics.values(), *prior.statistics.values())
    losses, metrics = model.kl_loss(posterior, prior)
    assert torch.allclose(losses["kl"], plain.clamp(min=3.0))
    assert torch.allclose(metrics["model/kl_nats"], plain.mean())


@pytest.mark.parametrize("balance", [0.0, 0.3, 1.0])
def test_a_balance_divides_the_gradient_and_changes_no_value(balance):
    posterior, prior = (requiring_gradient(latent) for latent in filtered(make()))
    leaves = [*posterior.statistics.values(), *prior.statistics.values()]
    losses = [make(balance=each).kl_loss(posterior, prior)[0]["kl"] for each in (None, balance)]
    assert torch.allclose(*losses)
    plain, balanced = (torch.autograd.grad(loss.sum(), leaves, allow_unused=True) for loss in losses)
    for share, one, other in zip([1 - balance, 1 - balance, balance, balance], plain, balanced, strict=True):
        assert torch.allclose(share * one, torch.zeros_like(one) if other is None else other, atol=1e-6)


@pytest.mark.parametrize("balance", [-0.1, 1.5])
def test_a_balance_out_of_range_is_refused(balance):
    with pytest.raises(UserError, match=r"GaussianRSSM.balance"):
        make(balance=balance)


def test_it_stays_in_float32_under_bfloat16():
    model = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        posterior, prior = filtered(model)
    exact, _ = filtered(model)
    for latent in (posterior, prior):
        assert latent.features.dtype == latent.statistics["std"].dtype == torch.float32
    assert torch.allclose(posterior.features, exact.features, atol=0.1)
