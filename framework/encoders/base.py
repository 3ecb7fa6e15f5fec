"""The contract of an encoder."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from dm_env import specs
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import Observation


class Encoder(nn.Module, ABC):
    """Turns the named arrays of one observation into one vector, for any leading axes.

    It is built with `observation`, the specs of the arrays that it must take, and refuses those that it cannot.
    """

    derived: ClassVar[tuple[str, ...]] = ("observation",)
    embedding_size: int

    @abstractmethod
    def __init__(self, *, observation: Mapping[str, specs.Array]) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]: ...
