"""An ensemble of values."""

from typing import Literal, cast, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework import values
from framework.data import Factory
from framework.errors import UserError
from framework.values.base import Value


@final
@values.register
class EnsembleValue(Value):
    """TD3's value: the minimum, or the mean, of several values with different initial weights; Fujimoto et al. (2018).

    *Addressing Function Approximation Error*: the minimum of two counters overestimation. The loss is the mean of the members' losses.
    """

    def __init__(
        self,
        *,
        feature_size: int,
        value: Factory[Value],
        members: int = 2,
        reduce: Literal["minimum", "mean"] = "minimum",
    ) -> None:
        super().__init__(feature_size=feature_size)
        if members < 1:
            raise UserError(f"EnsembleValue.members = {members} must be at least 1.")
        self.members = nn.ModuleList([value(feature_size=feature_size) for _ in range(members)])
        self.reduce = reduce

    def forward(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self._reduced(torch.stack([member(features) for member in self.members]))

    def loss(self, features: Float[Tensor, "*B F"], target: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return torch.stack([cast(Value, member).loss(features, target) for member in self.members]).mean(dim=0)

    def bootstrap(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self._reduced(torch.stack([cast(Value, member).bootstrap(features) for member in self.members]))

    def after_update(self) -> None:
        for member in self.members:
            cast(Value, member).after_update()

    def _reduced(self, values: Float[Tensor, "K *B"]) -> Float[Tensor, "*B"]:
        return values.amin(dim=0) if self.reduce == "minimum" else values.mean(dim=0)
