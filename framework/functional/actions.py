"""Distributions over actions besides `TanhNormal`, in float32: continuous actions in [-1, 1], and one-hot choices."""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.special import log_ndtr, ndtr, ndtri

from framework.functional.categorical import mixed_log_probabilities, straight_through
from framework.functional.distributions import HALF_LOG_TAU, ActionDistribution, normal_entropy, normal_log_density

INSIDE: Final = 1e-6
"""The distance of samples of a truncated normal from its ends, as in Dreamer V2."""
FINEST: Final = 2.0**-24
"""The resolution of a probability in float32."""


@dataclass(frozen=True)
class BoundedNormal(ActionDistribution):
    """Dreamer V3's continuous action distribution: `a = u / max(1, |u|), u ~ N(mean, std^2)`, with the mean in [-1, 1].

        log p(a) = log N(a; mean, std^2) inside,    log P(u >= 1) at 1,    log P(u <= -1) at -1

    V3 clips `u` at the input of the dynamics, and uses the density of `u`. The gradient of this log-density is the mean of V3's over all
    `u` that clip to the same action (*Clipped Action Policy Gradient*, Fujita and Maeda, 2018): the policy gradient is the same in
    expectation, with less variance. The entropy is that of `u`, as in V3.

    Gradients: the divisor is detached, so that a clipped action still has a gradient.
    """

    mean: Float[Tensor, "*B A"]
    std: Float[Tensor, "*B A"]

    def sample(self, noise: Float[Tensor, "*S A"]) -> Float[Tensor, "*S A"]:
        """From standard-normal noise."""
        unclipped = self.mean + self.std * noise
        return unclipped / unclipped.detach().abs().clamp(min=1.0)

    def log_density(self, action: Float[Tensor, "*S A"]) -> Float[Tensor, "*S"]:
        action = action.float()
        mean, std = self.mean.expand_as(action), self.std.expand_as(action)
        inside = normal_log_density(action, mean, std)
        return inside.where(action.abs() < 1, log_ndtr((action.sign() * mean - 1) / std)).sum(dim=-1)

    @property
    def entropy(self) -> Float[Tensor, "*B"]:
        return normal_entropy(self.std).sum(dim=-1)

    @property
    def mode(self) -> Float[Tensor, "*B A"]:
        return self.mean


@dataclass(frozen=True)
class TruncatedNormal(ActionDistribution):
    """Dreamer V2's continuous action distribution: `N(mean, std^2)` truncated to [-1, 1], with the mean inside.

        Z = Phi(b) - Phi(a),    a, b = (-1 - mean) / std, (1 - mean) / std,    sample  mean + std Phi^-1(Phi(a) + u Z)

    Gradients: through the sample; the clamp to the inside is straight-through.
    """

    mean: Float[Tensor, "*B A"]
    std: Float[Tensor, "*B A"]

    def sample(self, noise: Float[Tensor, "*S A"]) -> Float[Tensor, "*S A"]:
        """From uniform noise."""
        probability = (self._below + noise * self._mass).clamp(FINEST, 1 - FINEST)
        sample = self.mean + self.std * ndtri(probability)
        return sample + (sample.clamp(-1 + INSIDE, 1 - INSIDE) - sample).detach()

    def log_density(self, action: Float[Tensor, "*S A"]) -> Float[Tensor, "*S"]:
        action = action.float()
        each = normal_log_density(action, self.mean.expand_as(action), self.std.expand_as(action))
        return (each - self._mass.log()).sum(dim=-1)

    @property
    def entropy(self) -> Float[Tensor, "*B"]:
        low, high = (-1 - self.mean) / self.std, (1 - self.mean) / self.std
        slope = (low * _density(low) - high * _density(high)) / (2 * self._mass)
        return (normal_entropy(self.std) + self._mass.log() + slope).sum(dim=-1)

    @property
    def mode(self) -> Float[Tensor, "*B A"]:
        return self.mean

    @property
    def _below(self) -> Tensor:
        return ndtr((-1 - self.mean) / self.std)

    @property
    def _mass(self) -> Tensor:
        return ndtr((1 - self.mean) / self.std) - self._below


def _density(value: Tensor) -> Tensor:
    return torch.exp(-0.5 * value.square() - HALF_LOG_TAU)


@dataclass(frozen=True)
class OneHotGroups(ActionDistribution):
    """Independent choices as one-hot groups side by side, with `sizes` options; `unimix` is the uniform share of each distribution.

    Gradients: those of a sample go to the probabilities (straight-through), none to the noise.
    """

    log_probabilities: Float[Tensor, "*B A"]
    sizes: tuple[int, ...]

    @staticmethod
    def of(logits: Float[Tensor, "*B A"], sizes: tuple[int, ...], unimix: float) -> "OneHotGroups":
        groups = zip(logits.split(sizes, dim=-1), sizes, strict=True)
        return OneHotGroups(torch.cat([mixed_log_probabilities(group, size, unimix) for group, size in groups], dim=-1), sizes)

    def sample(self, noise: Float[Tensor, "*S A"]) -> Float[Tensor, "*S A"]:
        """From Gumbel noise."""
        log_probabilities = self.log_probabilities.expand_as(noise).split(self.sizes, dim=-1)
        groups = zip(log_probabilities, noise.split(self.sizes, dim=-1), self.sizes, strict=True)
        return torch.cat([straight_through(*group) for group in groups], dim=-1)

    def log_density(self, action: Float[Tensor, "*S A"]) -> Float[Tensor, "*S"]:
        return (action.float() * self.log_probabilities).sum(dim=-1)

    @property
    def entropy(self) -> Float[Tensor, "*B"]:
        return -(self.log_probabilities.exp() * self.log_probabilities).sum(dim=-1)

    @property
    def mode(self) -> Float[Tensor, "*B A"]:
        return self.sample(torch.zeros_like(self.log_probabilities))
