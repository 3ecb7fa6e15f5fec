"""The precision of a KL, whose value `tests/reference` has, and the three conventions of free nats."""

import pytest
import torch

from framework.functional.kl import apply_free_nats, gaussian_kl
from framework.testing.samples import normal


def test_the_kl_of_gaussians_is_float32_from_any_precision():
    mean, std = normal(4, 3).bfloat16(), normal(4, 3, seed=1).exp().bfloat16()
    assert gaussian_kl(mean, std, mean, std).tolist() == [0.0] * 4
    assert gaussian_kl(mean, std, mean, std).dtype == torch.float32


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
