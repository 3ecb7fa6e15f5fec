"""KL divergences, and the three conventions of free nats."""

import pytest
import torch
from torch import distributions as td

from framework.functional.kl import apply_free_nats, gaussian_kl
from tests.tiny import normal


def gaussians():
    return normal(4, 5, 3), normal(4, 5, 3, seed=1).exp(), normal(4, 5, 3, seed=2), normal(4, 5, 3, seed=3).exp()


def test_the_kl_of_gaussians_is_torchs_and_zero_between_equals():
    mean, std, other_mean, other_std = gaussians()
    expected = td.kl_divergence(td.Normal(mean, std), td.Normal(other_mean, other_std)).sum(dim=-1)
    assert torch.allclose(gaussian_kl(mean, std, other_mean, other_std), expected, rtol=1e-4)
    assert (gaussian_kl(mean, std, mean, std) == 0).all()


def test_the_kl_of_gaussians_is_float32_from_any_precision():
    assert gaussian_kl(*(each.bfloat16() for each in gaussians())).dtype == torch.float32


@pytest.mark.parametrize(
    ("convention", "nats", "expected", "slopes"),
    [
        ("mean", 0.0, [1.0, 2.0, 6.0], [1, 1, 1]),
        ("excess", 0.0, [1.0, 2.0, 6.0], [1, 1, 1]),
        ("step", 0.0, [1.0, 2.0, 6.0], [1, 1, 1]),
        ("mean", 2.5, [1.0, 2.0, 6.0], [1, 1, 1]),
        ("mean", 4.0, [4.0, 4.0, 4.0], [0, 0, 0]),
        ("excess", 2.5, [0.0, 0.0, 3.5], [0, 0, 1]),
        ("excess", 7.0, [0.0, 0.0, 0.0], [0, 0, 0]),
        ("step", 2.5, [2.5, 2.5, 6.0], [0, 0, 1]),
        ("step", 7.0, [7.0, 7.0, 7.0], [0, 0, 0]),
    ],
)
def test_each_convention_of_free_nats_has_no_gradient_below_them(convention, nats, expected, slopes):
    kl = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    loss = apply_free_nats(kl, nats, convention)
    (gradient,) = torch.autograd.grad(loss.sum(), kl)
    assert loss.tolist() == expected
    assert gradient.tolist() == slopes
