"""A head of your own: the reward of each step, by its absolute error."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import final

from dm_env import specs
from jaxtyping import Float
from torch import Tensor

from framework import heads
from framework.data import Batch
from framework.errors import UserError
from framework.nn.blocks import MLP
from framework.specs import LatentSpec


@final
@dataclass(frozen=True)
class UnitLaplace:
    """`exp(-|x - mean|) / 2`, a likelihood that outliers move less than they move a normal one."""

    mean: Float[Tensor, "*B"]

    def log_density(self, value: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return -(value.float() - self.mean).abs() - log(2)


@final
@heads.register
class MyComponent(heads.Head):
    """`q(r_t | s_t) = Laplace(mu(s_t), 1)`, for the reward.

    Gradients: to the features, and so to the world model.
    """

    def __init__(
        self,
        *,
        latent: LatentSpec,
        target: Mapping[str, specs.Array] | None = None,
        scale: float = 1.0,
        layers: int = 2,
        units: int = 128,
    ) -> None:
        super().__init__(latent=latent, target=target, scale=scale)
        if units < 1:
            raise UserError(f"MyComponent.units = {units} is no width of a layer: bind 1 or more.")
        self.net = MLP(input_size=latent.feature_size, output_size=1, layers=layers, units=units, activation="elu")

    def forward(self, features: Float[Tensor, "*B F"]) -> UnitLaplace:
        return UnitLaplace(self.net(features).squeeze(-1).float())

    def loss(self, features: Float[Tensor, "B T F"], batch: Batch) -> Float[Tensor, "B T"]:
        return -self(features).log_density(batch.reward)
