"""The contract of an actor-critic: how to act, and what to learn from imagination."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import ActionKind, Imagination, Losses, Metrics

Mode = Literal["explore", "mode"]


class ActorCritic(nn.Module, ABC):
    """Acts on the features of a latent and learns from imagined rollouts; it never sees the world model.

    `groups` names its groups of parameters, each with an optimizer of its own, and its losses bear the same names: the loss `actor`
    trains the group `actor` and no other parameter.
    """

    derived: ClassVar[tuple[str, ...]] = ("feature_size", "action_size")
    action_kinds: ClassVar[tuple[ActionKind, ...]]
    groups: ClassVar[tuple[str, ...]]
    needs_dynamics_gradient: ClassVar[bool]

    @abstractmethod
    def __init__(self, *, feature_size: int, action_size: int) -> None:
        super().__init__()

    @abstractmethod
    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        """The randomness of one action for each of the leading axes."""

    @abstractmethod
    def sample(self, features: Float[Tensor, "*B F"], noise: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
        """The policy's action inside imagination."""

    @abstractmethod
    def act(self, features: Float[Tensor, "N F"], mode: Mode, generator: torch.Generator) -> Float[Tensor, "N A"]:
        """The action for the environment: with exploration, or the policy's best."""

    @abstractmethod
    def losses(self, imagination: Imagination) -> tuple[Losses, Metrics]:
        """A loss for each group, over the imagined steps."""

    @abstractmethod
    def group(self, name: str) -> list[nn.Parameter]:
        """The parameters of a group."""

    @abstractmethod
    def follow(self) -> None:
        """Let slow copies follow, after an update."""
