"""A tanh-normal sample together with its own density, which stays exact where the tanh saturates."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from framework.functional.distributions import TanhNormal, normal_log_density


def squashed_sample(policy: TanhNormal, noise: Float[Tensor, "*B A"]) -> tuple[Float[Tensor, "*B A"], Float[Tensor, "*B"]]:
    """`a = tanh(u), u = mean + std noise`, and `log p(a) = log N(u) - sum 2 (log 2 - u - softplus(-2 u))`, in nats.

    `TanhNormal.log_density` must find `u` from `a`, which float32 rounds to one for `u` above 9: wrong there, and without a slope.

    Gradients: to the mean and the deviation, through the action and through the density.
    """
    before = policy.mean + policy.std * noise
    shrinkage = 2 * (math.log(2.0) - before - F.softplus(-2 * before))
    return torch.tanh(before), (normal_log_density(before, policy.mean, policy.std) - shrinkage).sum(dim=-1)
