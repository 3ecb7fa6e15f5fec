"""The contract of an objective."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from dm_env import specs
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import Batch, Latent, LatentSpec, Losses, Metrics, Pictures


class Objective(nn.Module, ABC):
    """What makes a latent and its observation tell of each other: named losses `[B, T]`."""

    derived: ClassVar[tuple[str, ...]] = ("latent", "embedding_size", "observation")
    losses: ClassVar[tuple[str, ...]]

    @abstractmethod
    def __init__(self, *, latent: LatentSpec, embedding_size: int, observation: Mapping[str, specs.Array]) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, posterior: Latent, prior: Latent, embedding: Float[Tensor, "B T E"], batch: Batch) -> tuple[Losses, Metrics]: ...

    def diagnose(self, posterior: Latent, embedding: Float[Tensor, "B T E"], batch: Batch) -> Metrics:
        """What is too dear for every update; read once per logging interval, without gradient."""
        return {}

    def pictures(self, posterior: Latent, embedding: Float[Tensor, "B T E"], batch: Batch) -> Pictures:
        """`uint8` pictures `[height, width, channel]` by name, on request."""
        return {}
