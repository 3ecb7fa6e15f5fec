"""Dreamer V2's state-space model: equations, unimix, and KL balancing."""

import pytest
import torch
import torch.nn.functional as F

from framework.dynamics.categorical_rssm import CategoricalRSSM
from framework.errors import UserError
from tests.tiny import ROWS, TIMES, batch, normal, seeded

SMALL = {"embedding_size": 5, "action_size": 2, "deterministic": 6, "groups": 3, "classes": 4, "hidden": 8}


def observe(dynamics: CategoricalRSSM):
    data = batch()
    noise = dynamics.draw_noise(ROWS, TIMES, generator=seeded())
    return dynamics.observe(normal(ROWS, TIMES, 5), data.action, data.is_first, dynamics.initial(ROWS), noise)


def test_latents_are_one_hot_in_each_group():
    posterior, prior = observe(CategoricalRSSM(**SMALL))
    for latent in (posterior, prior):
        groups = latent.stochastic.reshape(ROWS, TIMES, 3, 4)
        assert torch.allclose(groups.sum(dim=-1), torch.ones(ROWS, TIMES, 3), atol=1e-6)
        assert torch.allclose(groups.max(dim=-1).values, torch.ones(ROWS, TIMES, 3), atol=1e-6)


def test_a_step_equals_its_equations():
    """The released Dreamer V2 has a norm in its GRU alone."""
    dynamics = CategoricalRSSM(**SMALL)
    hidden, stochastic, action, embedding = (normal(3, size, seed=size) for size in (6, 12, 2, 5))
    found = dynamics.advance(stochastic, hidden, dynamics.from_actions(action))
    inputs = F.elu(torch.cat([stochastic, action], dim=-1) @ dynamics.input.weight.T + dynamics.input.bias)
    assert torch.allclose(found, dynamics.cell(inputs, hidden), atol=1e-6)
    assert isinstance(dynamics.cell.norm, torch.nn.LayerNorm)
    prior = F.elu(hidden @ dynamics.prior_hidden.weight.T + dynamics.prior_hidden.bias)
    assert torch.allclose(dynamics.prior_logits(hidden), dynamics.prior_out(prior), atol=1e-6)
    joined = torch.cat([hidden, embedding], dim=-1) @ dynamics.posterior_hidden.weight.T + dynamics.posterior_hidden.bias
    logits = dynamics.posterior_logits(hidden, dynamics.from_embeddings(embedding.unsqueeze(1)).squeeze(1))
    assert torch.allclose(logits, dynamics.posterior_out(F.elu(joined)), atol=1e-6)


def test_unimix_keeps_every_class_possible():
    posterior, prior = observe(CategoricalRSSM(unimix=0.2, **SMALL))
    for latent in (posterior, prior):
        assert latent.statistics["logits"].exp().min() >= 0.2 / 4 - 1e-6


@pytest.mark.parametrize(("balance", "prior_share"), [(0.8, 0.8), (0.0, 0.0), (1.0, 1.0)])
def test_the_balance_divides_the_gradient(balance, prior_share):
    dynamics = CategoricalRSSM(balance=balance, free_nats=0.0, **SMALL)
    posterior, prior = observe(dynamics)
    balanced = dynamics.kl_loss(posterior, prior)[0]["kl"].sum()
    plain = CategoricalRSSM(balance=None, free_nats=0.0, **SMALL).kl_loss(posterior, prior)[0]["kl"].sum()
    assert torch.allclose(balanced, plain)
    logits = prior.statistics["logits"], posterior.statistics["logits"]
    shared, whole = torch.autograd.grad(balanced, logits, retain_graph=True), torch.autograd.grad(plain, logits)
    assert torch.allclose(shared[0], prior_share * whole[0], atol=1e-6)


def test_a_balance_out_of_range_is_refused():
    with pytest.raises(UserError, match=r"CategoricalRSSM.balance = 2.0 must be a number from 0 to 1"):
        CategoricalRSSM(balance=2.0, **SMALL)
