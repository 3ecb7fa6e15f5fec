"""The contract of an actor-critic: how it acts, and its losses on imagined rollouts and replayed steps."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import Imagination, InferredBatch, Latent, Losses, Metrics
from framework.specs import ActionKind, ModelSpecs

Mode = Literal["explore", "mode"]
"""Whether an action explores, as in training, or is the mode of the policy, as in evaluations."""
Action = Float[Tensor, "N A"]
"""Vectors of the model: in [-1, 1], or one-hot groups."""
Plan = Float[Tensor, "N I"]
"""What a planner carries from step to step; `I` = 0 for others."""
Choose = Callable[[Tensor, Tensor], Tensor]
"""An action from features and noise."""

Imagine = Callable[[Latent, Choose, Tensor, torch.Generator], Imagination]
"""Rolls the model out, without gradient: start, choice of actions, the noise `[H, N, A]` of the choices, generator of the latents."""


class ActorCritic(nn.Module, ABC):
    """A behavior: it acts on latents, and is trained on imagined rollouts or replayed steps. It has no access to the world model.

    `groups` names its groups of parameters, each with its own optimizer. Each group has a loss of the same name, which trains that group
    alone. The losses in `shapes_model` also train the world model. `imagines` is False where rollouts are not used: they have no steps.
    """

    derived: ClassVar[tuple[str, ...]] = ("model",)
    action_kinds: tuple[ActionKind, ...]
    """The kinds of action that it takes."""
    groups: tuple[str, ...]
    shapes_model: tuple[str, ...] = ()
    needs_dynamics_gradient: bool
    """Whether the actor's loss needs the gradient of imagined features; rollouts take none otherwise, and cost less."""
    imagines: bool = True

    @abstractmethod
    def __init__(self, *, model: ModelSpecs) -> None:
        super().__init__()
        self.action = model.action

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        """The random numbers of one action for each index of the leading axes: standard normal by default."""
        return torch.randn(*leading, self.action.size, generator=generator, device=generator.device)

    @abstractmethod
    def sample(self, features: Float[Tensor, "*B F"], noise: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
        """An action of the policy in imagination."""

    def sample_with_parameters(self, features: Float[Tensor, "N F"], noise: Action) -> tuple[Action, Float[Tensor, "N P"] | None]:
        """`sample`, with the parameters of the distribution where the losses use them again; called where gradients are taken.

        Gradients: those of computing the parameters again at the same features.
        """
        return self.sample(features, noise), None

    def initial(self, size: int) -> Plan:
        """The plan before the first step: empty by default."""
        return torch.zeros(size, 0)

    @abstractmethod
    def act(self, latent: Latent, plan: Plan, imagine: Imagine, mode: Mode, generator: torch.Generator) -> tuple[Action, Plan]:
        """The action for the environment, exploring or greedy, and the plan that the next step starts from."""

    @abstractmethod
    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        """One loss for each group, of any shape, whose mean is minimized. `noise` is that of one action at each replayed step."""

    def check(self, *, rollouts: int, steps: int) -> None:
        """Refuse that many rollouts for that many replayed steps, if the losses are not defined for them."""
        return

    def group(self, name: str) -> list[nn.Parameter]:
        """The trained parameters of a group: by default those of the submodule of its name."""
        return [parameter for parameter in self.get_submodule(name).parameters() if parameter.requires_grad]

    def after_update(self) -> None:
        """Update slow copies and running statistics, after the parameters have moved."""
        return
