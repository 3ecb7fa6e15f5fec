"""Dreamer V3's reward predictor."""

from collections.abc import Mapping
from typing import final

from dm_env import specs
from jaxtyping import Float
from torch import Tensor

from framework import heads
from framework.data import Batch
from framework.functional.two_hot import TwoHot, symexp_bins
from framework.heads.base import Head
from framework.nn.blocks import MLP, Activation, Norm
from framework.specs import LatentSpec


@final
@heads.register
class TwoHotRewardHead(Head):
    """Dreamer V3's reward predictor: a categorical distribution over the bins `symexp(-20 .. 20)`, trained on two-hot rewards.

    Hafner et al. (2023): 255 bins, and a last layer whose weights are zero at first.
    """

    bins: Tensor

    def __init__(
        self,
        *,
        latent: LatentSpec,
        target: Mapping[str, specs.Array] | None = None,
        scale: float = 1.0,
        layers: int = 1,
        units: int = 256,
        activation: Activation = "silu",
        norm: Norm = "rms",
        bins: int = 255,
    ) -> None:
        super().__init__(latent=latent, target=target, scale=scale)
        self.net = MLP(
            input_size=latent.feature_size,
            output_size=bins,
            layers=layers,
            units=units,
            activation=activation,
            norm=norm,
            initial_weights="truncated_normal",
            output_scale=0.0,
        )
        self.register_buffer("bins", symexp_bins(bins, 20.0), persistent=False)

    def forward(self, features: Float[Tensor, "*B F"]) -> TwoHot:
        return TwoHot(self.net(features), self.bins)

    def loss(self, features: Float[Tensor, "B T F"], batch: Batch) -> Float[Tensor, "B T"]:
        return -self(features).log_density(batch.reward)
