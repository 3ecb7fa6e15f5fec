"""Densities in float32 under any precision; samples are functions of a noise that the caller drew."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from framework.functional.two_hot import symexp, symlog

HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def _hermite(points: int) -> tuple[list[float], list[float]]:
    """Where to look at a function, and with which weights, for its mean under a standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    return nodes.tolist(), (weights / math.sqrt(2 * math.pi)).tolist()


HERMITE: Final = _hermite(32)


def normal_log_density(
    value: Float[Tensor, "*B D"], mean: Float[Tensor, "*B D"], std: Float[Tensor, "*#B D"] | float
) -> Float[Tensor, "*B D"]:
    """`log N(value; mean, std^2)` of each element, in nats."""
    scale = torch.as_tensor(std, dtype=torch.float32, device=mean.device)
    distance = (value.float() - mean.float()) / scale
    return -0.5 * distance.square() - scale.log() - HALF_LOG_TAU


def normal_entropy(std: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """Of a normal distribution, in nats: `1/2 + log(2 pi)/2 + log std`."""
    return std.float().log() + HALF_LOG_TAU + 0.5


@dataclass(frozen=True)
class UnitNormal:
    """`N(mean, 1)` over arrays of `axes` axes, whose elements are summed: half the squared error, and a constant."""

    mean: Float[Tensor, "..."]
    axes: int = 0

    def log_density(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        each = -0.5 * (value.float() - self.mean.float()).square() - HALF_LOG_TAU
        return each.flatten(start_dim=-self.axes).sum(dim=-1) if self.axes else each


@dataclass(frozen=True)
class SquaredError:
    """`-(x - mean)^2`, summed over the last `axes` axes: `N(mean, 1/2)` without its constant, as Dreamer V3 decodes images."""

    mean: Float[Tensor, "..."]
    axes: int

    def log_density(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return -(value.float() - self.mean.float()).square().flatten(start_dim=-self.axes).sum(dim=-1)


@dataclass(frozen=True)
class SymlogError:
    """`-(symlog(x) - output)^2`, summed over the last `axes` axes, for numbers of unknown scale; Hafner et al. (2023)."""

    output: Float[Tensor, "..."]
    axes: int

    @property
    def mean(self) -> Float[Tensor, "..."]:
        return symexp(self.output.float())

    def log_density(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return SquaredError(self.output, self.axes).log_density(symlog(value.float()))


@dataclass(frozen=True)
class Bernoulli:
    """A probability by its logit."""

    logit: Float[Tensor, "*B"]

    @property
    def mean(self) -> Float[Tensor, "*B"]:
        return torch.sigmoid(self.logit.float())

    def log_density(self, value: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return -F.binary_cross_entropy_with_logits(self.logit.float(), value.float(), reduction="none")


class ActionDistribution(ABC):
    """What a policy says of an action."""

    @abstractmethod
    def sample(self, noise: Float[Tensor, "*S A"]) -> Float[Tensor, "*S A"]:
        """An action, as a function of noise of the distribution's own kind."""

    @abstractmethod
    def log_density(self, action: Float[Tensor, "*S A"]) -> Float[Tensor, "*S"]:
        """In nats, summed over the numbers or choices of an action."""

    @property
    @abstractmethod
    def entropy(self) -> Float[Tensor, "*B"]:
        """In nats, summed likewise."""

    @property
    @abstractmethod
    def mode(self) -> Float[Tensor, "*B A"]:
        """The best action without chance."""


@dataclass(frozen=True)
class TanhNormal(ActionDistribution):
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

    @property
    def entropy(self) -> Float[Tensor, "*B"]:
        """In nats, `H(u) + E[log(1 - tanh^2 u)]` with the mean by Gauss-Hermite quadrature at 32 points; right to 0.03 up to a std of 5."""
        nodes, weights = (torch.tensor(each, dtype=torch.float32, device=self.mean.device) for each in HERMITE)
        size = (self.mean.unsqueeze(-1) + self.std.unsqueeze(-1) * nodes).abs()
        shrunk = 2 * (math.log(2) - size - torch.log1p(torch.exp(-2 * size)))
        return (normal_entropy(self.std) + (weights * shrunk).sum(dim=-1)).sum(dim=-1)

    @property
    def mode(self) -> Float[Tensor, "*B A"]:
        """The median, which stands for it: the density may have two modes."""
        return torch.tanh(self.mean)
