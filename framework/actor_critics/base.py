"""The contract of an actor-critic: how to act, and what to learn from imagination and from what was replayed."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import ActionKind, ActionSpec, Imagination, InferredBatch, Latent, LatentSpec, Losses, Metrics

Mode = Literal["explore", "mode"]
Choose = Callable[[Tensor, Tensor], Tensor]
"""An action for features and noise: a policy, or `lambda features, given: given` for a plan."""

Foresee = Callable[[Latent, Choose, Tensor, torch.Generator], Imagination]
"""Rolls the model on from latents: who chooses, and the noise `[H, N, A]` of its choices; without gradient."""


class ActorCritic(nn.Module, ABC):
    """Acts on a latent and learns from imagined rollouts or replayed steps; it never sees the world model.

    `groups` names its groups of parameters, each with an optimizer of its own, and its losses bear the same names: the loss `actor`
    trains the group `actor` and no other parameter of the behavior. The losses in `shapes_model` train the world model as well.
    """

    derived: ClassVar[tuple[str, ...]] = ("latent", "action", "embedding_size")
    action_kinds: tuple[ActionKind, ...]
    groups: tuple[str, ...]
    shapes_model: tuple[str, ...] = ()
    needs_dynamics_gradient: bool
    imagines: bool = True
    """Whether it learns from rollouts; where it does not, they are of no step."""

    @abstractmethod
    def __init__(self, *, latent: LatentSpec, action: ActionSpec, embedding_size: int) -> None:
        super().__init__()

    @abstractmethod
    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        """The randomness of one action for each of the leading axes."""

    @abstractmethod
    def sample(self, features: Float[Tensor, "*B F"], noise: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
        """The policy's action inside imagination."""

    def sample_with_parameters(
        self, features: Float[Tensor, "N F"], noise: Float[Tensor, "N A"]
    ) -> tuple[Float[Tensor, "N A"], Float[Tensor, "N P"] | None]:
        """As `sample`, and the numbers of the policy's distribution where its losses want them again; called where gradients are taken.

        Gradients: those of computing the numbers again at the same features.
        """
        return self.sample(features, noise), None

    def initial(self, size: int) -> Float[Tensor, "N I"]:
        """What it carries from step to step, before the first: nothing, unless it plans ahead."""
        return torch.zeros(size, 0)

    @abstractmethod
    def act(
        self, latent: Latent, plan: Float[Tensor, "N I"], imagine: Foresee, mode: Mode, generator: torch.Generator
    ) -> tuple[Float[Tensor, "N A"], Float[Tensor, "N I"]]:
        """The action for the environment, with exploration or the best known, and what to carry to the next step."""

    @abstractmethod
    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        """A loss for each group, of any shape, whose mean is minimized; `noise` is that of one action at each replayed step."""

    @abstractmethod
    def group(self, name: str) -> list[nn.Parameter]:
        """The parameters of a group."""

    @abstractmethod
    def after_update(self) -> None:
        """Let slow copies follow, after an update."""
