"""The KL loss, against the losses of PlaNet, Dreamer V1, V2 and both V3 written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch import distributions as td

from framework.data import Latent
from framework.dynamics.categorical_rssm import CategoricalRSSM
from framework.dynamics.gaussian_rssm import GaussianRSSM
from framework.functional.categorical import mixed_log_probabilities
from tests.tiny import normal

ROWS, TIMES = 4, 6


def raw(seed: int, nearness: float) -> Tensor:
    """Outputs of the networks; at a `nearness` of one both sides are equal."""
    return 2 * (nearness * normal(ROWS, TIMES, 6) + (1 - nearness) * normal(ROWS, TIMES, 6, seed=seed))


def categorical(outputs: Tensor) -> Latent:
    """Unimixed distributions of 2 groups of 3."""
    found = mixed_log_probabilities(outputs, classes=3, unimix=0.01)
    return Latent(torch.zeros(ROWS, TIMES, 1), torch.zeros(ROWS, TIMES, 6), {"logits": found})


def gaussian(outputs: Tensor) -> Latent:
    mean, std = outputs.chunk(2, dim=-1)
    return Latent(torch.zeros(ROWS, TIMES, 1), mean, {"mean": mean, "std": F.softplus(std) + 0.5})


def kl_of(one: Latent, other: Latent) -> Tensor:
    """By torch, from probabilities."""
    if "mean" in one.statistics:
        sides = [td.Independent(td.Normal(each.statistics["mean"], each.statistics["std"]), 1) for each in (one, other)]
    else:
        grouped = [each.statistics["logits"].exp().reshape(ROWS, TIMES, 2, 3) for each in (one, other)]
        sides = [td.Independent(td.Categorical(probs=each), 1) for each in grouped]
    return td.kl_divergence(*sides)


def planet(q: Latent, p: Latent) -> Tensor:
    return torch.relu(kl_of(q, p) - 3.0).mean()


def dreamer_v1(q: Latent, p: Latent) -> Tensor:
    return torch.maximum(kl_of(q, p).mean(), torch.tensor(3.0))


def dreamer_v2(q: Latent, p: Latent) -> Tensor:
    """Free nats on the mean of each side, as with `free_avg` of its code."""
    left, right = kl_of(q.detach(), p).mean(), kl_of(q, p.detach()).mean()
    return 0.8 * left.clamp(min=1.0) + 0.2 * right.clamp(min=1.0)


def dreamer_v3(dynamics: float, representation: float):
    """Two losses, each clipped at one nat at each step, each with its own scale."""

    def loss(q: Latent, p: Latent) -> Tensor:
        left, right = kl_of(q.detach(), p), kl_of(q, p.detach())
        return (dynamics * left.clamp(min=1.0) + representation * right.clamp(min=1.0)).mean()

    return loss


SETTINGS = {
    "planet": (planet, 1.0, {"free_nats": 3.0, "free_nats_on": "excess", "balance": None}),
    "dreamer_v1": (dreamer_v1, 1.0, {"free_nats": 3.0, "free_nats_on": "mean", "balance": None}),
    "dreamer_v2": (dreamer_v2, 1.0, {"free_nats": 1.0, "free_nats_on": "mean", "balance": 0.8}),
    "dreamer_v3_2023": (dreamer_v3(0.5, 0.1), 0.6, {"free_nats": 1.0, "free_nats_on": "step", "balance": 0.8333333}),
    "dreamer_v3": (dreamer_v3(1.0, 0.1), 1.1, {"free_nats": 1.0, "free_nats_on": "step", "balance": 0.9090909}),
}


@pytest.mark.parametrize("paper", SETTINGS)
@pytest.mark.parametrize("nearness", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("kind", [categorical, gaussian])
def test_the_loss_and_gradients_of_each_paper_are_a_balance_and_a_scale(paper, nearness, kind):
    reference, scale, settings = SETTINGS[paper]
    sizes = {"embedding_size": 5, "action_size": 2, "deterministic": 6, "hidden": 8}
    model = (CategoricalRSSM if kind is categorical else GaussianRSSM)(**sizes, **settings)
    leaves = [raw(seed, nearness).requires_grad_() for seed in (1, 2)]
    posterior, prior = (kind(outputs) for outputs in leaves)
    found, expected = scale * model.kl_loss(posterior, prior)[0]["kl"].mean(), reference(posterior, prior)
    assert torch.allclose(found, expected, rtol=1e-4)
    gradients = [torch.autograd.grad(loss, leaves, retain_graph=True) for loss in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_the_compared_steps_lie_on_both_sides_of_the_free_nats():
    for kind in (categorical, gaussian):
        spread = torch.cat([kl_of(kind(raw(1, share)), kind(raw(2, share))).flatten() for share in (0.0, 0.5, 0.9)])
        for nats in (1.0, 3.0):
            assert (spread < nats).sum() > 5, kind
            assert (spread > nats).sum() > 5, kind
