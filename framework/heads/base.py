"""The contract of a head."""

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol, runtime_checkable

from dm_env import specs
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import Batch


@runtime_checkable
class Prediction(Protocol):
    """What a head says: a density over its target."""

    @property
    def mean(self) -> Tensor: ...

    def log_density(self, value: Tensor, /) -> Tensor: ...


class Head(nn.Module, ABC):
    """Predicts one thing from the features of a latent, with a likelihood.

    It is built with the size of the features, and with the name and the spec of its target where that is an observation.
    """

    derived: ClassVar[tuple[str, ...]] = ("feature_size", "target")

    @abstractmethod
    def __init__(self, *, feature_size: int, target: tuple[str, specs.Array] | None = None) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, features: Float[Tensor, "*B F"]) -> Prediction: ...

    @abstractmethod
    def loss(self, features: Float[Tensor, "B T F"], batch: Batch) -> Float[Tensor, "B T"]:
        """The negative log-likelihood of each step, in nats."""
