"""A value that knows the spread of the return: its quantiles."""

from copy import deepcopy
from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import values
from framework.blocks import MLP, Activation, Norm, copy_parameters
from framework.errors import UserError
from framework.functional.quantiles import quantile_huber
from framework.values.base import Value


@final
@values.register
class QuantileValue(Value):
    """`N` quantiles of the return by the quantile Huber loss; their mean is the value (Dabney et al., 2018, QR-DQN: 200 and width 1).

    `slow_rate = 1` bootstraps from itself; a rate below 1 from a copy that moves by that share of the way after each update.

    Gradients: which side of a quantile the return fell on is taken as given.
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
    ) -> None:
        super().__init__(feature_size=feature_size)
        if quantiles < 1 or width <= 0 or not 0 < slow_rate <= 1:
            raise UserError(
                f"QuantileValue.quantiles = {quantiles} must be at least 1, QuantileValue.width = {width} positive, and "
                f"QuantileValue.slow_rate = {slow_rate} above 0 and at most 1."
            )
        self.net = MLP(input_size=feature_size, output_size=quantiles, layers=layers, units=units, activation=activation, norm=norm)
        self.width, self.slow_rate = width, slow_rate
        self.slow = deepcopy(self.net).requires_grad_(False) if slow_rate < 1 else None

    def forward(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self.net(features).float().mean(dim=-1)

    def loss(self, features: Float[Tensor, "*B F"], target: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return quantile_huber(self.net(features), target, self.width)

    def bootstrap(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self(features) if self.slow is None else self.slow(features).float().mean(dim=-1)

    def follow(self) -> None:
        if self.slow is not None:
            copy_parameters(source=self.net, target=self.slow, rate=self.slow_rate)
