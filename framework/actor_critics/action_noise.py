"""Exploration by noise on the action, less and less of it."""

from typing import final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from framework import actor_critics
from framework.actor_critics.base import ActorCritic, Foresee, Mode
from framework.actor_critics.wrapper import Wrapper
from framework.data import ActionSpec, Factory, Latent, LatentSpec
from framework.errors import UserError


@final
@actor_critics.register
class ActionNoise(Wrapper):
    """Disturbs what another behavior does when it explores: by `N(0, amount)`, or, of choices, by random ones with probability `amount`.

        amount = initial + (final - initial) min(1, calls / decay_steps)

    The schedule counts calls of `act` that explore, from the first of the prefill on: each is one action in every environment, and so
    `action_repeat` environment steps in each of them. The count is part of a checkpoint. An action beyond [-1, 1] is clipped. Dreamer V1
    (Hafner et al., 2020) has 0.3 throughout for control, and 0.4 that falls to 0.1 over 200,000 steps for Atari.

    It comes on top of the behavior's own noise: bind `DynamicsBackprop.action_noise = 0.0` in it, and `CEMPlanner.action_noise` alike.
    """

    calls: Tensor

    def __init__(
        self,
        *,
        latent: LatentSpec,
        action: ActionSpec,
        embedding_size: int,
        of: Factory[ActorCritic],
        initial: float = 0.3,
        final: float = 0.3,
        decay_steps: int = 200_000,
    ) -> None:
        super().__init__(latent=latent, action=action, embedding_size=embedding_size, of=of)
        largest = float("inf") if action.kind == "continuous" else 1.0
        if not (0 <= initial <= largest and 0 <= final <= largest and decay_steps >= 1):
            asked = "not negative" if action.kind == "continuous" else "probabilities, from 0 to 1"
            raise UserError(
                f"ActionNoise.initial = {initial} and ActionNoise.final = {final} must be {asked}, and ActionNoise.decay_steps = "
                f"{decay_steps} at least 1."
            )
        self.action, self.first, self.last, self.decay_steps = action, initial, final, decay_steps
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    @property
    def amount(self) -> Float[Tensor, ""]:
        """The deviation of the noise, or the probability of a random choice, as it is now."""
        return self.first + (self.last - self.first) * (self.calls / self.decay_steps).clamp(max=1.0)

    @torch.no_grad()
    def act(
        self, latent: Latent, plan: Float[Tensor, "N I"], imagine: Foresee, mode: Mode, generator: torch.Generator
    ) -> tuple[Float[Tensor, "N A"], Float[Tensor, "N I"]]:
        action, plan = self.of.act(latent, plan, imagine, mode, generator)
        if mode == "explore":
            action = self._disturbed(action, generator)
            self.calls.add_(1)
        return action, plan

    def _disturbed(self, action: Float[Tensor, "N A"], generator: torch.Generator) -> Float[Tensor, "N A"]:
        size, device = action.shape[0], generator.device
        if self.action.kind == "continuous":
            noise = torch.randn(size, self.action.size, generator=generator, device=device)
            return (action + self.amount * noise).clamp(-1, 1)
        chance = torch.rand(size, generator=generator, device=device)
        drawn = torch.rand(size, self.action.size, generator=generator, device=device).split(self.action.sizes, dim=-1)
        choices = torch.cat([one_hot(each.argmax(dim=-1), each.shape[-1]) for each in drawn], dim=-1)
        return torch.where(rearrange(chance < self.amount, "n -> n 1"), choices.to(action.dtype), action)
