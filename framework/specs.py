"""What is known before the first number: the arrays of an environment, the action vector of the model, the sizes of a latent."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from dm_env import specs

from framework.errors import UserError

LatentKind = Literal["gaussian", "categorical"]
"""The distribution of the stochastic part of a latent."""
ActionKind = Literal["continuous", "discrete", "multi_discrete"]
"""Numbers in [-1, 1], one choice, or several at once."""
LARGEST_OBSERVATION: Final = 2**30


@dataclass(frozen=True)
class ActionSpec:
    """The action vector of the model: numbers in [-1, 1], or the concatenation of one one-hot group for each choice.

    `sizes` holds the number of dimensions of a continuous action, and the number of options of each discrete choice.
    """

    kind: ActionKind
    """Numbers, one choice, or several at once."""
    sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        """The length of the action vector, `A`."""
        return sum(self.sizes)

    @staticmethod
    def of(spec: specs.Array) -> "ActionSpec":
        """From an environment's spec. An integer array is one choice for each element, with options from its minimum on."""
        if isinstance(spec, specs.DiscreteArray):
            return ActionSpec(kind="discrete", sizes=(int(spec.num_values),))
        if isinstance(spec, specs.BoundedArray) and np.issubdtype(spec.dtype, np.integer):
            options = np.broadcast_to(spec.maximum - spec.minimum + 1, spec.shape)
            return ActionSpec(kind="multi_discrete", sizes=tuple(int(size) for size in options.ravel()))
        return ActionSpec(kind="continuous", sizes=(int(np.prod(spec.shape)),))


@dataclass(frozen=True)
class Specs:
    """The specs of an environment: named observation arrays, and an action in [-1, 1] or of integers."""

    observation: Mapping[str, specs.Array]
    """By name; an image is `uint8`, height by width by channel."""
    action: specs.Array
    """Numbers in [-1, 1], or integers, each of which is a choice."""

    def __post_init__(self) -> None:
        for name, spec in {**self.observation, "action": self.action}.items():
            if math.prod(spec.shape) > LARGEST_OBSERVATION:
                raise UserError(
                    f"The environment's '{name}' has the shape {tuple(spec.shape)}, and an array of one step has at most "
                    f"{LARGEST_OBSERVATION} numbers; bind a smaller size."
                )

    @property
    def model_action(self) -> ActionSpec:
        """The action vector of the model."""
        return ActionSpec.of(self.action)

    @property
    def action_kind(self) -> ActionKind:
        return self.model_action.kind

    @property
    def action_size(self) -> int:
        """The length of the action vector, `A`."""
        return self.model_action.size


def is_image(spec: specs.Array) -> bool:
    """Whether an observation is an image: `uint8`, height by width by channel."""
    return len(spec.shape) == 3 and spec.dtype == "uint8"


@dataclass(frozen=True)
class LatentSpec:
    """The sizes that a dynamics declares: deterministic part `h`, flattened stochastic part `z`, and the kind of `z`.

    A categorical `z` is the concatenation of `stochastic / classes` one-hot vectors of `classes`.
    """

    deterministic: int
    """The size of `h`, `D`."""
    stochastic: int
    """The size of `z`, flattened, `Z`."""
    kind: LatentKind
    """The distribution of `z`."""
    classes: int | None = None

    def __post_init__(self) -> None:
        if self.stochastic < 1:
            raise ValueError(f"the stochastic part of a latent must be greater than 0, and has {self.stochastic} numbers")

    @property
    def feature_size(self) -> int:
        return self.deterministic + self.stochastic


@dataclass(frozen=True)
class ModelSpecs:
    """What an objective or a behavior is built for: the latent and the embedding of a world model, the observations and the actions."""

    latent: LatentSpec
    """The sizes of the latent."""
    embedding_size: int
    """The length of an embedding, `E`."""
    observation: Mapping[str, specs.Array]
    """The arrays of the environment by name."""
    action: ActionSpec
    """The action vector."""
