"""A value of your own: a perceptron with the Huber loss."""

from typing import final

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from framework import values
from framework.errors import UserError
from framework.nn.blocks import MLP


@final
@values.register
class MyComponent(values.Value):
    """`v(s) = MLP(s)`, trained by `huber(v(s) - R)`: half the squared error up to `delta`, linear beyond."""

    def __init__(self, *, feature_size: int, layers: int = 2, units: int = 128, delta: float = 1.0) -> None:
        super().__init__(feature_size=feature_size)
        if delta <= 0:
            raise UserError(f"MyComponent.delta = {delta} must be more than 0.")
        self.delta = delta
        self.net = MLP(input_size=feature_size, output_size=1, layers=layers, units=units, activation="elu")

    def forward(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self.net(features).squeeze(-1).float()

    def loss(self, features: Float[Tensor, "*B F"], target: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return F.huber_loss(self(features), target, reduction="none", delta=self.delta)
