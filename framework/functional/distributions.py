"""Densities in float32 under any precision; samples are functions of a noise that the caller drew."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def normal_log_density(
    value: Float[Tensor, "*B D"], mean: Float[Tensor, "*B D"], std: Float[Tensor, "*#B D"] | float
) -> Float[Tensor, "*B D"]:
    """`log N(value; mean, std^2)` of each element, in nats."""
    scale = torch.as_tensor(std, dtype=torch.float32, device=mean.device)
    distance = (value.float() - mean.float()) / scale
    return -0.5 * distance.square() - scale.log() - HALF_LOG_TAU


@dataclass(frozen=True)
class UnitNormal:
    """`N(mean, 1)` over arrays of `axes` axes, whose elements are summed: half the squared error, and a constant."""

    mean: Float[Tensor, "..."]
    axes: int = 0

    def log_density(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        each = -0.5 * (value.float() - self.mean.float()).square() - HALF_LOG_TAU
        return each.flatten(start_dim=-self.axes).sum(dim=-1) if self.axes else each


@dataclass(frozen=True)
class Bernoulli:
    """A probability by its logit."""

    logit: Float[Tensor, "*B"]

    @property
    def mean(self) -> Float[Tensor, "*B"]:
        return torch.sigmoid(self.logit.float())

    def log_density(self, value: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return -F.binary_cross_entropy_with_logits(self.logit.float(), value.float(), reduction="none")


@dataclass(frozen=True)
class TanhNormal:
    """`a = tanh(u), u ~ N(mean, std^2)`: a policy over actions in [-1, 1]; `log p(a) = log N(u) - sum log(1 - a^2)`."""

    mean: Float[Tensor, "*B A"]
    std: Float[Tensor, "*B A"]

    def sample(self, noise: Float[Tensor, "*S A"]) -> Float[Tensor, "*S A"]:
        """Turn standard-normal noise into an action; differentiable in `mean` and `std`."""
        return torch.tanh(self.mean + self.std * noise)

    def log_density(self, action: Float[Tensor, "*S A"]) -> Float[Tensor, "*S"]:
        """In nats; actions at the edge are moved inside by one part in a million, where the density ends."""
        inside = action.float().clamp(-1 + 1e-6, 1 - 1e-6)
        before = torch.atanh(inside)
        each = normal_log_density(before, self.mean.expand_as(before), self.std.expand_as(before))
        return (each - torch.log1p(-inside.square())).sum(dim=-1)
