"""Behaviors that wrap another behavior."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.actor_critics.base import Action, ActorCritic, Plan
from framework.data import Factory, Imagination, InferredBatch, Losses, Metrics
from framework.errors import UserError
from framework.specs import ActionKind, ModelSpecs


class Wrapper(ActorCritic, ABC):
    """A behavior that delegates to the inner behavior `of`; a subclass overrides what it changes.

    `groups` of the class are the wrapper's own; those of an instance begin with the inner behavior's. Its other declarations are the
    inner behavior's.
    """

    action_kinds: tuple[ActionKind, ...] = ("continuous", "discrete", "multi_discrete")
    groups: tuple[str, ...] = ()

    @abstractmethod
    def __init__(self, *, model: ModelSpecs, of: Factory[ActorCritic]) -> None:
        super().__init__(model=model)
        self.of: ActorCritic = of(model=model)
        if shared := set(self.of.groups) & set(self.groups):
            raise UserError(
                f"{type(self).__name__} and {type(self.of).__name__} in it both have a group of parameters named {sorted(shared)}; "
                f"bind another {type(self).__name__}.of."
            )
        self.action_kinds, self.groups = self.of.action_kinds, (*self.of.groups, *self.groups)
        self.shapes_model, self.imagines = self.of.shapes_model, self.of.imagines
        self.needs_dynamics_gradient = self.of.needs_dynamics_gradient

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        return self.of.draw_noise(*leading, generator=generator)

    def sample(self, features: Float[Tensor, "*B F"], noise: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
        return self.of.sample(features, noise)

    def sample_with_parameters(self, features: Float[Tensor, "N F"], noise: Action) -> tuple[Action, Float[Tensor, "N P"] | None]:
        return self.of.sample_with_parameters(features, noise)

    def initial(self, size: int) -> Plan:
        return self.of.initial(size)

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        return self.of.losses(imagination, inferred, noise)

    def check(self, *, rollouts: int, steps: int) -> None:
        self.of.check(rollouts=rollouts, steps=steps)

    def group(self, name: str) -> list[nn.Parameter]:
        return self.of.group(name)

    def after_update(self) -> None:
        self.of.after_update()
