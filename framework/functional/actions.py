"""The distributions over actions that policies have beside `TanhNormal`, in float32; numbers lie in [-1, 1], choices are one-hot."""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.special import log_ndtr, ndtr, ndtri

from framework.functional.categorical import mixed_log_probabilities, straight_through
from framework.functional.distributions import HALF_LOG_TAU, ActionDistribution, normal_entropy, normal_log_density

INSIDE: Final = 1e-6
"""How far from its ends a truncated normal keeps its samples, as Dreamer V2 does."""
FINEST: Final = 2.0**-24
"""The resolution of a probability in float32."""


@dataclass(frozen=True)
class BoundedNormal(ActionDistribution):
    """A normal whose tails lie on the edges, `a = u / max(1, |u|), u ~ N(mean, std^2)`, with the means inside: Dreamer V3's law of numbers.

        log p(a) = log N(a; mean, std^2) inside,    log P(u >= 1) at 1,    log P(u <= -1) at -1

    V3 cuts `u` on the way into the dynamics and scores `u` itself. The gradient of this log-density is the mean of that score's
    gradient over all `u` that are cut to the same action (*Clipped Action Policy Gradient*, Fujita and Maeda, 2018): the policy gradient
    is the same in expectation, and varies less. The entropy is that of `u`, as V3 has it.

    Gradients: the divisor is detached, so that an action on the edge still moves with its mean.
    """

    mean: Float[Tensor, "*B A"]
    std: Float[Tensor, "*B A"]

    def sample(self, noise: Float[Tensor, "*S A"]) -> Float[Tensor, "*S A"]:
        """From standard-normal noise."""
        drawn = self.mean + self.std * noise
        return drawn / drawn.detach().abs().clamp(min=1.0)

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
    """`N(mean, std^2)` restricted to [-1, 1], with the means inside: Dreamer V2's law of numbers.

        Z = Phi(b) - Phi(a),    a, b = (-1 - mean) / std, (1 - mean) / std,    sample  mean + std Phi^-1(Phi(a) + u Z)

    Gradients: through the sample; moving it off the very ends is straight-through.
    """

    mean: Float[Tensor, "*B A"]
    std: Float[Tensor, "*B A"]

    def sample(self, noise: Float[Tensor, "*S A"]) -> Float[Tensor, "*S A"]:
        """From uniform noise."""
        chance = (self._below + noise * self._mass).clamp(FINEST, 1 - FINEST)
        drawn = self.mean + self.std * ndtri(chance)
        return drawn + (drawn.clamp(-1 + INSIDE, 1 - INSIDE) - drawn).detach()

    def log_density(self, action: Float[Tensor, "*S A"]) -> Float[Tensor, "*S"]:
        action = action.float()
        each = normal_log_density(action, self.mean.expand_as(action), self.std.expand_as(action))
        return (each - self._mass.log()).sum(dim=-1)

    @property
    def entropy(self) -> Float[Tensor, "*B"]:
        low, high = (-1 - self.mean) / self.std, (1 - self.mean) / self.std
        slope = (low * _bell(low) - high * _bell(high)) / (2 * self._mass)
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


def _bell(value: Tensor) -> Tensor:
    return torch.exp(-0.5 * value.square() - HALF_LOG_TAU)


@dataclass(frozen=True)
class OneHotGroups(ActionDistribution):
    """A one-hot group for each choice, side by side; `sizes` holds their options, and a share `unimix` of each law is uniform.

    Gradients: a sample passes those of the probabilities, as if they were the sample (straight-through); none reach the noise.
    """

    log_probabilities: Float[Tensor, "*B A"]
    sizes: tuple[int, ...]

    @staticmethod
    def of(logits: Float[Tensor, "*B A"], sizes: tuple[int, ...], unimix: float) -> "OneHotGroups":
        groups = zip(logits.split(sizes, dim=-1), sizes, strict=True)
        return OneHotGroups(torch.cat([mixed_log_probabilities(group, size, unimix) for group, size in groups], dim=-1), sizes)

    def sample(self, noise: Float[Tensor, "*S A"]) -> Float[Tensor, "*S A"]:
        """From Gumbel noise."""
        said = self.log_probabilities.expand_as(noise).split(self.sizes, dim=-1)
        groups = zip(said, noise.split(self.sizes, dim=-1), self.sizes, strict=True)
        return torch.cat([straight_through(group, drawn, size) for group, drawn, size in groups], dim=-1)

    def log_density(self, action: Float[Tensor, "*S A"]) -> Float[Tensor, "*S"]:
        return (action.float() * self.log_probabilities).sum(dim=-1)

    @property
    def entropy(self) -> Float[Tensor, "*B"]:
        return -(self.log_probabilities.exp() * self.log_probabilities).sum(dim=-1)

    @property
    def mode(self) -> Float[Tensor, "*B A"]:
        return self.sample(torch.zeros_like(self.log_probabilities))
