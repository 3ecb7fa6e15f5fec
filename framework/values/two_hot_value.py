"""Dreamer V3's value: a categorical distribution over exponentially growing bins."""

from functools import partial
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from framework import values
from framework.errors import UserError
from framework.functional.two_hot import TwoHot, symexp_bins
from framework.nn.blocks import MLP, Activation, Norm
from framework.values.base import Cost, Value
from framework.values.slow_copy import SlowCopy


@final
@values.register
class TwoHotValue(Value):
    """The cross-entropy of two-hot targets over `symexp(-20 .. 20)`, and of what the slow copy says.

        loss  -log p(R) - slow_weight log p(sg v_slow),    v = sum_k p_k b_k

    Hafner et al. (2023): 255 bins, weights of the last layer zero, so that it begins by saying 0; a slow copy at rate 0.02 regularizes
    and is not bootstrapped from.

    Gradients: none to the slow copy, nor to the targets.
    """

    bins: Tensor

    def __init__(
        self,
        *,
        feature_size: int,
        layers: int = 3,
        units: int = 256,
        activation: Activation = "silu",
        norm: Norm = "rms",
        bins: int = 255,
        slow_rate: float = 0.02,
        slow_every: int = 1,
        slow_weight: float = 1.0,
    ) -> None:
        super().__init__(feature_size=feature_size)
        if bins < 3:
            raise UserError(f"TwoHotValue.bins = {bins} must be at least 3.")
        self.net = MLP(
            input_size=feature_size,
            output_size=bins,
            layers=layers,
            units=units,
            activation=activation,
            norm=norm,
            initial_weights="truncated_normal",
            output_scale=0.0,
        )
        self.register_buffer("bins", symexp_bins(bins, 20.0), persistent=False)
        self.slow_weight = slow_weight
        self.slow = SlowCopy(owner="TwoHotValue", source=self.net, rate=slow_rate, every=slow_every)

    def prediction(self, features: Float[Tensor, "*B F"]) -> TwoHot:
        return TwoHot(self.net(features), self.bins)

    def forward(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self.prediction(features).mean

    def loss(self, features: Float[Tensor, "*B F"], target: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return self._cost(self.prediction(features), features, target)

    def _cost(self, said: TwoHot, features: Float[Tensor, "*B F"], target: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        with torch.no_grad():
            slow = TwoHot(self.slow(features), self.bins).mean
        return -said.log_density(target) - self.slow_weight * said.log_density(slow)

    def bootstrap(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self(features)

    def value_and_loss(self, features: Float[Tensor, "*B F"]) -> tuple[Float[Tensor, "*B"], Cost]:
        said = self.prediction(features)
        with torch.no_grad():
            return said.mean, partial(self._cost, said, features)

    def after_update(self) -> None:
        self.slow.after_update(self.net)
