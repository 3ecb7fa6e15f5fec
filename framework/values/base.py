"""The contract of a value function."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

TargetLoss = Callable[[Tensor], Tensor]
"""A loss as a function of its targets."""


class Value(nn.Module, ABC):
    """The expected return of the policy from the features of a latent."""

    derived: ClassVar[tuple[str, ...]] = ("feature_size",)

    @abstractmethod
    def __init__(self, *, feature_size: int) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        """The expected return."""

    @abstractmethod
    def loss(self, features: Float[Tensor, "*B F"], target: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """The loss of each step against its return. Gradients: to the parameters; the caller detaches features and target."""

    def bootstrap(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        """The value that returns bootstrap from: the slow copy where there is one, by default the value itself."""
        return self(features)

    def value_and_loss(self, features: Float[Tensor, "*B F"]) -> tuple[Float[Tensor, "*B"], TargetLoss]:
        """`bootstrap`, and `loss` as a function of targets that may depend on it; one pass where both use the same network.

        Gradients: none through the value.
        """
        with torch.no_grad():
            return self.bootstrap(features), partial(self.loss, features)

    def after_update(self) -> None:
        """Update the slow copy, after the parameters have moved."""
        return
