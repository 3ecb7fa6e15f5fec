"""The contract of an encoder."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from dm_env import specs
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from framework.data import Observation, is_image
from framework.errors import UserError
from framework.functional.random import Key


class Encoder(nn.Module, ABC):
    """Turns the named arrays of one observation into one vector, for any leading axes.

    It is built with `observation`, the specs of the arrays that it must take, and refuses those that it cannot. `augments` says whether
    `augment` changes anything.
    """

    derived: ClassVar[tuple[str, ...]] = ("observation",)
    embedding_size: int
    augments: bool = False

    @abstractmethod
    def __init__(self, *, observation: Mapping[str, specs.Array]) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]: ...

    def augment(self, observation: Observation, key: Key) -> Observation:
        """What training shows the encoder in place of `[B, T, ..]` observations; acting sees them as they are."""
        return observation


def only_image(observation: Mapping[str, specs.Array], name: str) -> tuple[str, specs.Array]:
    """The one image of an observation, for the encoder of that name, which takes nothing else."""
    images = [each for each, spec in observation.items() if is_image(spec)]
    if len(images) == 1 and len(observation) == 1:
        return images[0], observation[images[0]]
    shapes = ", ".join(f"{each} {spec.shape}" for each, spec in observation.items())
    raise UserError(
        f"{name} takes exactly one image [height, width, channel] and was given {shapes}; "
        f"give each array its own encoder with MultiEncoder.encoders, or change what the environment observes."
    )


def scaled(image: UInt8[Tensor, "*B Y X C"]) -> Float[Tensor, "N C Y X"]:
    """Pixels in [-0.5, 0.5], as one batch of images, channels first. In one new tensor: memory is what this costs."""
    return rearrange(image, "... y x c -> (...) c y x").to(torch.float32, copy=True).div_(255.0).sub_(0.5)
