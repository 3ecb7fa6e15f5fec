"""A tanh-normal sample and its density, exact where the tanh saturates."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from framework.functional.distributions import TanhNormal, normal_log_density


def squashed_sample(policy: TanhNormal, noise: Float[Tensor, "*B A"]) -> tuple[Float[Tensor, "*B A"], Float[Tensor, "*B"]]:
    """`a = tanh(u), u = mean + std noise`, and `log p(a) = log N(u) - sum 2 (log 2 - u - softplus(-2 u))`, in nats.

    `TanhNormal.log_density` recovers `u` from `a`, which float32 rounds to one for `u` above 9: inexact there, and without gradient.

    Gradients: to mean and standard deviation, through the action and through the density.
    """
    unsquashed = policy.mean + policy.std * noise
    log_slope = 2 * (math.log(2.0) - unsquashed - F.softplus(-2 * unsquashed))
    return torch.tanh(unsquashed), (normal_log_density(unsquashed, policy.mean, policy.std) - log_slope).sum(dim=-1)
