"""Dreamer V1's reward predictor."""

from collections.abc import Mapping
from typing import final

from dm_env import specs
from jaxtyping import Float
from torch import Tensor

from framework import heads
from framework.data import Batch
from framework.functional.distributions import UnitNormal
from framework.heads.base import Head
from framework.nn.blocks import MLP, Activation, Norm
from framework.specs import LatentSpec


@final
@heads.register
class RewardHead(Head):
    """Dreamer V1's reward predictor: `q(r_t | s_t) = N(mu(s_t), 1)`; *Dream to Control*, Appendix A.

    Two layers of 400 ELU units; Dreamer V2 has four.
    """

    def __init__(
        self,
        *,
        latent: LatentSpec,
        target: Mapping[str, specs.Array] | None = None,
        scale: float = 1.0,
        layers: int = 2,
        units: int = 400,
        activation: Activation = "elu",
        norm: Norm = "none",
    ) -> None:
        super().__init__(latent=latent, target=target, scale=scale)
        self.net = MLP(input_size=latent.feature_size, output_size=1, layers=layers, units=units, activation=activation, norm=norm)

    def forward(self, features: Float[Tensor, "*B F"]) -> UnitNormal:
        return UnitNormal(self.net(features).squeeze(-1).float())

    def loss(self, features: Float[Tensor, "B T F"], batch: Batch) -> Float[Tensor, "B T"]:
        return -self(features).log_density(batch.reward)
