"""Scheduled exploration noise."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from framework import actor_critics
from framework.actor_critics.acting import exploration_noise
from framework.actor_critics.base import Action, ActorCritic, Imagine, Mode, Plan
from framework.actor_critics.wrapper import Wrapper
from framework.data import Factory, Latent
from framework.errors import UserError
from framework.specs import ModelSpecs


@final
@actor_critics.register
class ActionNoise(Wrapper):
    """Exploration noise with a schedule: `N(0, amount^2)` on another behavior's actions, or random choices with probability `amount`.

        amount = initial + (final - initial) min(1, calls / decay_steps)

    The schedule counts the exploring calls of `act`, prefill included; a call is one action in every environment, and so `action_repeat`
    environment steps in each. The count is part of a checkpoint. Continuous actions are clipped to [-1, 1]. Dreamer V1 (Hafner et al.,
    2020) uses 0.3 for control, and 0.4 that falls to 0.1 over 200,000 steps for Atari.

    The noise adds to the behavior's own: bind `DynamicsBackprop.action_noise = 0.0` or `CEMPlanner.action_noise = 0.0` as well.
    """

    calls: Tensor

    def __init__(
        self,
        *,
        model: ModelSpecs,
        of: Factory[ActorCritic],
        initial: float = 0.3,
        final: float = 0.3,
        decay_steps: int = 200_000,
    ) -> None:
        super().__init__(model=model, of=of)
        largest = float("inf") if self.action.kind == "continuous" else 1.0
        if not (0 <= initial <= largest and 0 <= final <= largest and decay_steps >= 1):
            allowed = "not negative" if self.action.kind == "continuous" else "probabilities, from 0 to 1"
            raise UserError(
                f"ActionNoise.initial = {initial} and ActionNoise.final = {final} must be {allowed}, and ActionNoise.decay_steps = "
                f"{decay_steps} at least 1."
            )
        self.first, self.last, self.decay_steps = initial, final, decay_steps
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    @property
    def amount(self) -> Float[Tensor, ""]:
        """The present standard deviation of the noise, or probability of a random choice."""
        return self.first + (self.last - self.first) * (self.calls / self.decay_steps).clamp(max=1.0)

    @torch.no_grad()
    def act(self, latent: Latent, plan: Plan, imagine: Imagine, mode: Mode, generator: torch.Generator) -> tuple[Action, Plan]:
        action, plan = self.of.act(latent, plan, imagine, mode, generator)
        if mode == "explore":
            action = exploration_noise(action, self.action, self.amount, generator)
            self.calls.add_(1)
        return action, plan
