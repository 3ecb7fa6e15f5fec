"""The decoder of vectors."""

from math import prod
from typing import final

from dm_env import specs
from jaxtyping import Float
from torch import Tensor

from framework import heads
from framework.blocks import MLP, Activation
from framework.data import Batch
from framework.errors import UserError
from framework.functional.distributions import UnitNormal
from framework.heads.base import Head


@final
@heads.register
class VectorHead(Head):
    """`q(o_t | s_t) = N(mu(s_t), I)` over one vector of the observation, its log-density summed over the elements."""

    def __init__(
        self,
        *,
        feature_size: int,
        target: tuple[str, specs.Array] | None = None,
        layers: int = 3,
        units: int = 400,
        activation: Activation = "elu",
    ) -> None:
        super().__init__(feature_size=feature_size, target=target)
        if target is None or len(target[1].shape) > 1:
            raise UserError(f"VectorHead decodes a vector of the observation and was given {target}; name one in Reconstruction.decoders.")
        self.name, spec = target
        self.net = MLP(input_size=feature_size, output_size=prod(spec.shape), layers=layers, units=units, activation=activation)

    def forward(self, features: Float[Tensor, "*B F"]) -> UnitNormal:
        return UnitNormal(mean=self.net(features).float(), axes=1)

    def loss(self, features: Float[Tensor, "B T F"], batch: Batch) -> Float[Tensor, "B T"]:
        value = batch.observation[self.name]
        return -self(features).log_density(value.reshape(*features.shape[:-1], -1).float())
