"""Dreamer V3's value."""

from functools import partial
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from framework import values
from framework.errors import UserError
from framework.functional.two_hot import TwoHot, symexp_bins
from framework.nn.blocks import MLP, Activation, Norm
from framework.values.base import TargetLoss
from framework.values.slow_copy import NetworkValue


@final
@values.register
class TwoHotValue(NetworkValue):
    """Dreamer V3's value: a categorical distribution over the bins `symexp(-20 .. 20)`, trained on two-hot targets; Hafner et al. (2023).

        loss  -log p(R) - slow_weight log p(sg v_slow),    v = sum_k p_k b_k

    255 bins. The weights of the last layer are zero at first, and so is the value. The slow copy, at rate 0.02, regularizes only: returns
    bootstrap from the value itself.

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
        if bins < 3:
            raise UserError(f"TwoHotValue.bins = {bins} must be at least 3.")
        net = MLP(
            input_size=feature_size,
            output_size=bins,
            layers=layers,
            units=units,
            activation=activation,
            norm=norm,
            initial_weights="truncated_normal",
            output_scale=0.0,
        )
        super().__init__(feature_size=feature_size, net=net, slow_rate=slow_rate, slow_every=slow_every)
        self.register_buffer("bins", symexp_bins(bins, 20.0), persistent=False)
        self.slow_weight = slow_weight

    def value_of(self, outputs: Float[Tensor, "*B O"]) -> Float[Tensor, "*B"]:
        return TwoHot(outputs, self.bins).mean

    def bootstrap(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self(features)

    def loss(self, features: Float[Tensor, "*B F"], target: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return self._loss(TwoHot(self.net(features), self.bins), features, target)

    def value_and_loss(self, features: Float[Tensor, "*B F"]) -> tuple[Float[Tensor, "*B"], TargetLoss]:
        prediction = TwoHot(self.net(features), self.bins)
        return prediction.mean.detach(), partial(self._loss, prediction, features)

    def _loss(self, prediction: TwoHot, features: Float[Tensor, "*B F"], target: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        with torch.no_grad():
            slow_value = self.slow_value(features)
        return -prediction.log_density(target) - self.slow_weight * prediction.log_density(slow_value)
