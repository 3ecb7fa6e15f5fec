"""The contract of a value function."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

Cost = Callable[[Tensor], Tensor]
"""A loss that waits for its targets."""


class Value(nn.Module, ABC):
    """The return that the policy can expect from the features of a latent."""

    derived: ClassVar[tuple[str, ...]] = ("feature_size",)

    @abstractmethod
    def __init__(self, *, feature_size: int) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        """The expected return."""

    @abstractmethod
    def loss(self, features: Float[Tensor, "*B F"], target: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """The cost of each step against its return. Gradients: to the parameters; the caller detaches features and target."""

    @abstractmethod
    def bootstrap(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        """The value that returns are built on: the slow copy where there is one, else the value itself."""

    def value_and_loss(self, features: Float[Tensor, "*B F"]) -> tuple[Float[Tensor, "*B"], Cost]:
        """`bootstrap`, and `loss` without its targets, which may be built on it; in one pass where both are said by the same network.

        Gradients: none through the first.
        """
        with torch.no_grad():
            return self.bootstrap(features), partial(self.loss, features)

    @abstractmethod
    def after_update(self) -> None:
        """Let the slow copy follow, after an update."""
