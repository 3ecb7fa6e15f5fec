"""The contract of a head."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

from dm_env import specs
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import Batch
from framework.errors import UserError
from framework.specs import LatentSpec, is_image


@runtime_checkable
class Prediction(Protocol):
    """A distribution over the target of a head."""

    @property
    def mean(self) -> Tensor: ...

    def log_density(self, value: Tensor, /) -> Tensor: ...


class Head(nn.Module, ABC):
    """A likelihood of one target given the features of a latent. `scale` is the weight of its loss.

    `target` holds the specs, by name, of the observations that it decodes; None for other targets.
    """

    derived: ClassVar[tuple[str, ...]] = ("latent", "target")

    @abstractmethod
    def __init__(self, *, latent: LatentSpec, target: Mapping[str, specs.Array] | None = None, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    @abstractmethod
    def forward(self, features: Float[Tensor, "*B F"]) -> Prediction:
        """The distribution of the target: its mean, and the log-density of a value."""

    @abstractmethod
    def loss(self, features: Float[Tensor, "B T F"], batch: Batch) -> Float[Tensor, "B T"]:
        """The negative log-likelihood of each step, in nats; for a squared error up to a constant."""


def only_image(target: Mapping[str, specs.Array] | None, name: str) -> tuple[str, specs.Array]:
    """Name and spec of the one image that a head decodes."""
    if target is None or len(target) != 1 or not is_image(next(iter(target.values()))):
        raise UserError(f"{name} decodes one image of the observation, not {described(target)}; name one in Reconstruction.decoders.")
    return next(iter(target.items()))


def described(target: Mapping[str, specs.Array] | None) -> str:
    """The names and shapes of observations, for messages."""
    return ", ".join(f"{name} {spec.shape}" for name, spec in target.items()) if target else "nothing"
