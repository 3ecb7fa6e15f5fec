"""The policy that behaviors share: a network, and the law that its numbers stand for."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import ActionSpec
from framework.functional.actions import BoundedNormal, OneHotGroups, TruncatedNormal
from framework.functional.categorical import gumbel
from framework.functional.distributions import ActionDistribution, TanhNormal
from framework.nn.blocks import MLP, Activation, InitialWeights, Norm

Distribution = Literal["tanh_normal", "bounded_normal", "truncated_normal"]
"""The law of numbers in [-1, 1]; choices always have one-hot groups."""


class Law(ABC):
    """How two outputs for each number become its distribution, and the noise that it draws from: standard normal unless it says so."""

    @abstractmethod
    def __call__(self, mean: Float[Tensor, "*B A"], std: Float[Tensor, "*B A"]) -> ActionDistribution: ...

    def draw_noise(self, *shape: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        return torch.randn(*shape, generator=generator, device=generator.device)


@final
@dataclass(frozen=True)
class TanhLaw(Law):
    """Dreamer V1: mean `m tanh(. / m)`, std `softplus(. + raw) + minimum_std` that starts at `initial_std`."""

    mean_scale: float = 5.0
    initial_std: float = 5.0
    minimum_std: float = 1e-4

    def __call__(self, mean: Float[Tensor, "*B A"], std: Float[Tensor, "*B A"]) -> TanhNormal:
        raw = math.log(math.expm1(self.initial_std))
        return TanhNormal(mean=self.mean_scale * torch.tanh(mean / self.mean_scale), std=F.softplus(std + raw) + self.minimum_std)


@final
@dataclass(frozen=True)
class BoundedLaw(Law):
    """Dreamer V3, as released: mean `tanh`, std `0.9 sigmoid(. + 2) + 0.1`, between 0.1 and 1."""

    def __call__(self, mean: Float[Tensor, "*B A"], std: Float[Tensor, "*B A"]) -> BoundedNormal:
        return BoundedNormal(mean=torch.tanh(mean), std=0.9 * torch.sigmoid(std + 2) + 0.1)


@final
@dataclass(frozen=True)
class TruncatedLaw(Law):
    """Dreamer V2, as released: mean `tanh`, std `2 sigmoid(. / 2) + 0.1`; it draws from uniform noise."""

    def __call__(self, mean: Float[Tensor, "*B A"], std: Float[Tensor, "*B A"]) -> TruncatedNormal:
        return TruncatedNormal(mean=torch.tanh(mean), std=2 * torch.sigmoid(std / 2) + 0.1)

    def draw_noise(self, *shape: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        return torch.rand(*shape, generator=generator, device=generator.device)


LAWS: Final[Mapping[Distribution, Law]] = {
    "tanh_normal": TanhLaw(),
    "bounded_normal": BoundedLaw(),
    "truncated_normal": TruncatedLaw(),
}


def exploration_noise(action: Float[Tensor, "N A"], spec: ActionSpec, amount: float, generator: torch.Generator) -> Float[Tensor, "N A"]:
    """Numbers plus `N(0, amount)`, clipped; or, with probability `amount`, choices at random."""
    size, device = action.shape[0], generator.device
    if spec.kind == "continuous":
        return (action + amount * torch.randn(size, spec.size, generator=generator, device=device)).clamp(-1, 1)
    chance = torch.rand(size, 1, generator=generator, device=device)
    drawn = OneHotGroups(torch.zeros_like(action), spec.sizes).sample(gumbel(size, spec.size, generator=generator))
    return drawn.where(chance < amount, action)


@final
class Policy(nn.Module):
    """The distribution of actions at given features: a law of numbers, or one-hot groups of which a share `unimix` is uniform.

    Gradients: nothing is detached; a behavior decides which features it shows.
    """

    def __init__(
        self,
        *,
        feature_size: int,
        action: ActionSpec,
        law: Law,
        unimix: float,
        layers: int,
        units: int,
        activation: Activation,
        norm: Norm = "none",
        initial_weights: InitialWeights = "glorot",
        output_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.action, self.law, self.unimix = action, law, unimix
        self.net = MLP(
            input_size=feature_size,
            output_size=2 * action.size if action.kind == "continuous" else action.size,
            layers=layers,
            units=units,
            activation=activation,
            norm=norm,
            initial_weights=initial_weights,
            output_scale=output_scale,
        )

    def forward(self, features: Float[Tensor, "*B F"]) -> ActionDistribution:
        return self.distribution(self.numbers(features))

    def numbers(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B P"]:
        """What the network says of an action."""
        return self.net(features).float()

    def distribution(self, numbers: Float[Tensor, "*B P"]) -> ActionDistribution:
        """What the numbers stand for."""
        if self.action.kind == "continuous":
            return self.law(*numbers.chunk(2, dim=-1))
        return OneHotGroups.of(numbers, self.action.sizes, self.unimix)

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        """Of the kind that the distribution draws from: normal, uniform or Gumbel."""
        draw = self.law.draw_noise if self.action.kind == "continuous" else gumbel
        return draw(*leading, self.action.size, generator=generator)
