"""Distributions, with densities in float32 under any precision; samples are functions of noise that the caller drew."""

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
    """Nodes and weights of Gauss-Hermite quadrature under a standard normal."""
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


def gaussian_scores(value: Float[Tensor, "N D"], mean: Float[Tensor, "M D"], std: Float[Tensor, "M D"]) -> Float[Tensor, "N M"]:
    """`log N(value_i; mean_j, std_j^2)` for every pair by matrix products, without the `[N, M, D]` tensor of the naive form.

    The expanded square loses precision where values lie far from zero or sigma is small: values and means are centered first, and the
    caller bounds sigma from below (float32, D = 230: a nat and more is lost at sigma = 0.01, a hundredth at 0.1).
    """
    center = mean.detach().mean(dim=0)
    value, mean, precision = value - center, mean - center, std.square().reciprocal()
    square = value.square() @ precision.T - 2 * value @ (mean * precision).T + (mean.square() * precision).sum(dim=-1)
    return -0.5 * square - std.log().sum(dim=-1) - value.shape[-1] * HALF_LOG_TAU


def normal_entropy(std: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """The entropy of a normal distribution in nats: `1/2 + log(2 pi)/2 + log std`."""
    return std.float().log() + HALF_LOG_TAU + 0.5


@dataclass(frozen=True)
class UnitNormal:
    """`N(mean, 1)`, summed over the last `axes` axes: half the squared error and a constant."""

    mean: Float[Tensor, "..."]
    axes: int = 0

    def log_density(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        each = -0.5 * (value.float() - self.mean.float()).square() - HALF_LOG_TAU
        return each.flatten(start_dim=-self.axes).sum(dim=-1) if self.axes else each


@dataclass(frozen=True)
class SquaredError:
    """`-(x - mean)^2`, summed over the last `axes` axes: `N(mean, 1/2)` without its constant, as for images in Dreamer V3."""

    mean: Float[Tensor, "..."]
    axes: int

    def log_density(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return -(value.float() - self.mean.float()).square().flatten(start_dim=-self.axes).sum(dim=-1)


@dataclass(frozen=True)
class SymlogError:
    """`-(symlog(x) - output)^2`, summed over the last `axes` axes; Hafner et al. (2023)."""

    output: Float[Tensor, "..."]
    axes: int

    @property
    def mean(self) -> Float[Tensor, "..."]:
        return symexp(self.output.float())

    def log_density(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return SquaredError(self.output, self.axes).log_density(symlog(value.float()))


@dataclass(frozen=True)
class Bernoulli:
    """A probability, given by its logit."""

    logit: Float[Tensor, "*B"]

    @property
    def mean(self) -> Float[Tensor, "*B"]:
        return torch.sigmoid(self.logit.float())

    def log_density(self, value: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return -F.binary_cross_entropy_with_logits(self.logit.float(), value.float(), reduction="none")


class ActionDistribution(ABC):
    """A distribution over actions."""

    @abstractmethod
    def sample(self, noise: Float[Tensor, "*S A"]) -> Float[Tensor, "*S A"]:
        """An action, as a function of the noise of this distribution."""

    @abstractmethod
    def log_density(self, action: Float[Tensor, "*S A"]) -> Float[Tensor, "*S"]:
        """The log-density in nats, summed over the numbers or choices of an action."""

    @property
    @abstractmethod
    def entropy(self) -> Float[Tensor, "*B"]:
        """The entropy in nats, summed likewise."""

    @property
    @abstractmethod
    def mode(self) -> Float[Tensor, "*B A"]:
        """The deterministic action."""


@dataclass(frozen=True)
class TanhNormal(ActionDistribution):
    """`a = tanh(u), u ~ N(mean, std^2)`: a policy over actions in [-1, 1]; `log p(a) = log N(u) - sum log(1 - a^2)`."""

    mean: Float[Tensor, "*B A"]
    std: Float[Tensor, "*B A"]

    def sample(self, noise: Float[Tensor, "*S A"]) -> Float[Tensor, "*S A"]:
        """From standard-normal noise; differentiable in `mean` and `std`."""
        return torch.tanh(self.mean + self.std * noise)

    def log_density(self, action: Float[Tensor, "*S A"]) -> Float[Tensor, "*S"]:
        """In nats; actions are clamped to 1e-6 inside the edges, where the density diverges."""
        inside = action.float().clamp(-1 + 1e-6, 1 - 1e-6)
        unsquashed = torch.atanh(inside)
        each = normal_log_density(unsquashed, self.mean.expand_as(unsquashed), self.std.expand_as(unsquashed))
        return (each - torch.log1p(-inside.square())).sum(dim=-1)

    @property
    def entropy(self) -> Float[Tensor, "*B"]:
        """`H(u) + E[log(1 - tanh^2 u)]` in nats, by Gauss-Hermite quadrature at 32 points; accurate to 0.03 up to a std of 5."""
        nodes, weights = (torch.tensor(each, dtype=torch.float32, device=self.mean.device) for each in HERMITE)
        size = (self.mean.unsqueeze(-1) + self.std.unsqueeze(-1) * nodes).abs()
        log_slope = 2 * (math.log(2) - size - torch.log1p(torch.exp(-2 * size)))
        return (normal_entropy(self.std) + (weights * log_slope).sum(dim=-1)).sum(dim=-1)

    @property
    def mode(self) -> Float[Tensor, "*B A"]:
        """The median, since the density may have two modes."""
        return torch.tanh(self.mean)


def squashed_sample(policy: TanhNormal, noise: Float[Tensor, "*B A"]) -> tuple[Float[Tensor, "*B A"], Float[Tensor, "*B"]]:
    """`a = tanh(u), u = mean + std noise`, and `log p(a) = log N(u) - sum 2 (log 2 - u - softplus(-2 u))`, in nats.

    `TanhNormal.log_density` recovers `u` from `a`, which float32 rounds to one for `u` above 9: inexact there, and without gradient.

    Gradients: to mean and standard deviation, through the action and through the density.
    """
    unsquashed = policy.mean + policy.std * noise
    log_slope = 2 * (math.log(2.0) - unsquashed - F.softplus(-2 * unsquashed))
    return torch.tanh(unsquashed), (normal_log_density(unsquashed, policy.mean, policy.std) - log_slope).sum(dim=-1)
