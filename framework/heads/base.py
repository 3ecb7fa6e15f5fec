"""The contract of a head."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

from dm_env import specs
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import Batch, LatentSpec, is_image
from framework.errors import UserError


@runtime_checkable
class Prediction(Protocol):
    """What a head says: a density over its target."""

    @property
    def mean(self) -> Tensor: ...

    def log_density(self, value: Tensor, /) -> Tensor: ...


class Head(nn.Module, ABC):
    """Predicts one thing from the features of a latent, with a likelihood.

    It is built with the sizes of the latent and, where it decodes observations, with their specs by name. `scale` is the weight of its
    loss.
    """

    derived: ClassVar[tuple[str, ...]] = ("latent", "target")

    @abstractmethod
    def __init__(self, *, latent: LatentSpec, target: Mapping[str, specs.Array] | None = None, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    @abstractmethod
    def forward(self, features: Float[Tensor, "*B F"]) -> Prediction: ...

    @abstractmethod
    def loss(self, features: Float[Tensor, "B T F"], batch: Batch) -> Float[Tensor, "B T"]:
        """The negative log-likelihood of each step, in nats; of a squared error up to a constant."""


def only_image(target: Mapping[str, specs.Array] | None, name: str) -> tuple[str, specs.Array]:
    """The one image that the head of that name decodes."""
    if target is None or len(target) != 1 or not is_image(next(iter(target.values()))):
        given = "nothing" if not target else ", ".join(f"{each} {spec.shape}" for each, spec in target.items())
        raise UserError(f"{name} decodes one image of the observation and was given {given}; name one in Reconstruction.decoders.")
    return next(iter(target.items()))
