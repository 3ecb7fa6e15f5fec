"""The contract of an encoder."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from dm_env import specs
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from framework.data import Observation
from framework.errors import UserError
from framework.functional.random import Key
from framework.specs import is_image


class Encoder(nn.Module, ABC):
    """Maps the named arrays of an observation to one vector, for any leading axes.

    `observation` holds the specs of the arrays; the constructor refuses those that the encoder cannot take. `augments` is True where
    `augment` changes observations.
    """

    derived: ClassVar[tuple[str, ...]] = ("observation",)
    embedding_size: int
    """`E`, the length of an embedding, which the constructor sets."""
    augments: bool = False

    @abstractmethod
    def __init__(self, *, observation: Mapping[str, specs.Array]) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]:
        """The embedding of each observation; one has nothing to do with another."""

    def augment(self, observation: Observation, key: Key) -> Observation:
        """Augment observations `[B, T, ..]`, in training alone."""
        return observation


class ImageEncoder(Encoder):
    """An encoder of one image and nothing else, whose `shape` is `(height, width, channel)`, by a network `net` of scaled images."""

    net: nn.Module

    @abstractmethod
    def __init__(self, *, observation: Mapping[str, specs.Array]) -> None:
        super().__init__(observation=observation)
        if len(observation) != 1 or not all(map(is_image, observation.values())):
            shapes = ", ".join(f"{name} {spec.shape}" for name, spec in observation.items())
            remedy = (
                "give each array its own encoder with MultiEncoder.encoders, or change what the environment observes"
                if any(map(is_image, observation.values()))
                else "bind Agent.encoder = @encoders.MLPEncoder"
            )
            raise UserError(f"{type(self).__name__} takes exactly one image [height, width, channel] and was given {shapes}; {remedy}.")
        ((self.name, spec),) = observation.items()
        self.shape = spec.shape

    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]:
        image = observation[self.name]
        return self.net(scaled(image)).reshape(*image.shape[:-3], self.embedding_size)


def scaled(image: UInt8[Tensor, "*B Y X C"]) -> Float[Tensor, "N C Y X"]:
    """Pixels in [-0.5, 0.5], as one batch of images, channels first; one new tensor, since memory traffic dominates the cost."""
    return rearrange(image, "... y x c -> (...) c y x").to(torch.float32, copy=True).div_(255.0).sub_(0.5)
