"""A distributional value: quantiles of the return."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import values
from framework.errors import UserError
from framework.functional.quantiles import quantile_huber
from framework.nn.blocks import MLP, Activation, Norm
from framework.values.slow_copy import NetworkValue


@final
@values.register
class QuantileValue(NetworkValue):
    """QR-DQN's value: the mean of quantiles of the return, trained by the quantile Huber loss; Dabney et al. (2018).

    The paper has 200 quantiles and a width of 1. `slow_rate = 1` bootstraps from the value itself; a rate below 1 from a copy that moves
    by that share of the way, after every `slow_every`-th update.

    Gradients: the sign of the error is constant.
    """

    def __init__(
        self,
        *,
        feature_size: int,
        layers: int = 3,
        units: int = 400,
        activation: Activation = "elu",
        norm: Norm = "none",
        quantiles: int = 32,
        width: float = 1.0,
        slow_rate: float = 1.0,
        slow_every: int = 1,
    ) -> None:
        if quantiles < 1 or width <= 0:
            raise UserError(f"QuantileValue.quantiles = {quantiles} must be at least 1, and QuantileValue.width = {width} positive.")
        net = MLP(input_size=feature_size, output_size=quantiles, layers=layers, units=units, activation=activation, norm=norm)
        super().__init__(feature_size=feature_size, net=net, slow_rate=slow_rate, slow_every=slow_every)
        self.width = width

    def value_of(self, outputs: Float[Tensor, "*B O"]) -> Float[Tensor, "*B"]:
        return outputs.float().mean(dim=-1)

    def loss(self, features: Float[Tensor, "*B F"], target: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return quantile_huber(self.net(features), target, self.width)
