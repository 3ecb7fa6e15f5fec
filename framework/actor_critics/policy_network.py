"""The network of a policy, and the parametrizations of its distribution."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from framework.errors import UserError
from framework.functional.actions import BoundedNormal, OneHotGroups, TruncatedNormal
from framework.functional.categorical import gumbel
from framework.functional.distributions import ActionDistribution, TanhNormal
from framework.nn.blocks import MLP, Activation, InitialWeights, Norm
from framework.specs import ModelSpecs

Distribution = Literal["tanh_normal", "bounded_normal", "truncated_normal"]
"""The distribution of continuous actions in [-1, 1]; choices always have one-hot groups."""


class Parametrization(ABC):
    """Maps two network outputs for each number of an action to its distribution."""

    @abstractmethod
    def __call__(self, mean: Float[Tensor, "*B A"], std: Float[Tensor, "*B A"]) -> ActionDistribution: ...

    def draw_noise(self, *shape: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        """The noise that samples are a function of: standard normal by default."""
        return torch.randn(*shape, generator=generator, device=generator.device)


@final
@dataclass(frozen=True)
class TanhNormalParametrization(Parametrization):
    """Dreamer V1: mean `m tanh(. / m)`, std `softplus(. + raw) + minimum_std`, which is `initial_std + minimum_std` at an output of 0."""

    mean_scale: float = 5.0
    initial_std: float = 5.0
    minimum_std: float = 1e-4

    def __call__(self, mean: Float[Tensor, "*B A"], std: Float[Tensor, "*B A"]) -> TanhNormal:
        raw = math.log(math.expm1(self.initial_std))
        return TanhNormal(mean=self.mean_scale * torch.tanh(mean / self.mean_scale), std=F.softplus(std + raw) + self.minimum_std)


@final
@dataclass(frozen=True)
class BoundedNormalParametrization(Parametrization):
    """Dreamer V3, as released: mean `tanh`, std `(1 - minimum_std) sigmoid(. + 2) + minimum_std`, at most 1."""

    minimum_std: float = 0.1

    def __call__(self, mean: Float[Tensor, "*B A"], std: Float[Tensor, "*B A"]) -> BoundedNormal:
        return BoundedNormal(mean=torch.tanh(mean), std=(1 - self.minimum_std) * torch.sigmoid(std + 2) + self.minimum_std)


@final
@dataclass(frozen=True)
class TruncatedNormalParametrization(Parametrization):
    """Dreamer V2, as released: mean `tanh`, std `2 sigmoid(. / 2) + minimum_std`; the noise is uniform."""

    minimum_std: float = 0.1

    def __call__(self, mean: Float[Tensor, "*B A"], std: Float[Tensor, "*B A"]) -> TruncatedNormal:
        return TruncatedNormal(mean=torch.tanh(mean), std=2 * torch.sigmoid(std / 2) + self.minimum_std)

    def draw_noise(self, *shape: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        return torch.rand(*shape, generator=generator, device=generator.device)


@final
@dataclass(frozen=True)
class ClampedLogStdParametrization(Parametrization):
    """Soft actor-critic, as released: a tanh-normal with log std clamped to [low, high]."""

    low: float = -20.0
    high: float = 2.0

    def __call__(self, mean: Float[Tensor, "*B A"], std: Float[Tensor, "*B A"]) -> TanhNormal:
        return TanhNormal(mean=mean, std=std.clamp(self.low, self.high).exp())


@final
@dataclass(frozen=True)
class SquashedLogStdParametrization(Parametrization):
    """TD-MPC2: a tanh-normal with log std `low + (high - low) (tanh + 1) / 2`."""

    low: float = -10.0
    high: float = 2.0

    def __call__(self, mean: Float[Tensor, "*B A"], std: Float[Tensor, "*B A"]) -> TanhNormal:
        return TanhNormal(mean=mean, std=torch.exp(self.low + (self.high - self.low) / 2 * (torch.tanh(std) + 1)))


def parametrization_of(distribution: Distribution, *, minimum_std: float, owner: str) -> Parametrization:
    """That of a distribution in Dreamer V2 and V3, whose tanh-normal begins with a std of `softplus(0) + minimum_std`.

    `owner` is the component with the settings `distribution` and `minimum_std`.
    """
    if not 0 < minimum_std < 1:
        raise UserError(f"{owner}.minimum_std = {minimum_std} must lie between 0 and 1; 0.1 is usual.")
    match distribution:
        case "tanh_normal":
            return TanhNormalParametrization(initial_std=math.log(2), minimum_std=minimum_std)
        case "bounded_normal":
            return BoundedNormalParametrization(minimum_std)
        case "truncated_normal":
            return TruncatedNormalParametrization(minimum_std)


@final
class PolicyNetwork(nn.Module):
    """A perceptron whose outputs are the parameters of a distribution of actions; one-hot groups of choices are mixed with `unimix`.

    Gradients: nothing is detached.
    """

    def __init__(
        self,
        *,
        model: ModelSpecs,
        parametrization: Parametrization,
        layers: int,
        units: int,
        activation: Activation,
        norm: Norm = "none",
        unimix: float = 0.0,
        initial_weights: InitialWeights = "glorot",
        output_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.action, self.parametrization, self.unimix = model.action, parametrization, unimix
        self.net = MLP(
            input_size=model.latent.feature_size,
            output_size=2 * self.action.size if self.action.kind == "continuous" else self.action.size,
            layers=layers,
            units=units,
            activation=activation,
            norm=norm,
            initial_weights=initial_weights,
            output_scale=output_scale,
        )

    def forward(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B P"]:
        """The parameters of the distribution, in float32."""
        return self.net(features).float()

    def distribution(self, parameters: Float[Tensor, "*B P"]) -> ActionDistribution:
        if self.action.kind == "continuous":
            return self.parametrization(*parameters.chunk(2, dim=-1))
        return OneHotGroups.of(parameters, self.action.sizes, self.unimix)

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        """The noise that samples are a function of: normal or uniform for numbers, Gumbel for choices."""
        draw = self.parametrization.draw_noise if self.action.kind == "continuous" else gumbel
        return draw(*leading, self.action.size, generator=generator)
