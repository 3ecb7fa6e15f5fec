"""A value that knows the spread of the return: its quantiles."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import values
from framework.errors import UserError
from framework.functional.quantiles import quantile_huber
from framework.nn.blocks import MLP, Activation, Norm
from framework.values.base import Value
from framework.values.slow_copy import slow_copy


@final
@values.register
class QuantileValue(Value):
    """`N` quantiles of the return by the quantile Huber loss; their mean is the value (Dabney et al., 2018, QR-DQN: 200 and width 1).

    `slow_rate = 1` bootstraps from itself; a rate below 1 from a copy that moves by that share of the way, after every `slow_every`-th
    update.

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
        slow_every: int = 1,
    ) -> None:
        super().__init__(feature_size=feature_size)
        if quantiles < 1 or width <= 0:
            raise UserError(f"QuantileValue.quantiles = {quantiles} must be at least 1, and QuantileValue.width = {width} positive.")
        self.net = MLP(input_size=feature_size, output_size=quantiles, layers=layers, units=units, activation=activation, norm=norm)
        self.width = width
        self.slow = slow_copy(owner="QuantileValue", source=self.net, rate=slow_rate, every=slow_every)

    def forward(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self.net(features).float().mean(dim=-1)

    def loss(self, features: Float[Tensor, "*B F"], target: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return quantile_huber(self.net(features), target, self.width)

    def bootstrap(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self(features) if self.slow is None else self.slow(features).float().mean(dim=-1)

    def after_update(self) -> None:
        if self.slow is not None:
            self.slow.after_update(self.net)
