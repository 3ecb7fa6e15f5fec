"""PlaNet's planner: the cross-entropy method, and nothing learned."""

from typing import final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework import actor_critics
from framework.actor_critics.base import ActorCritic, Foresee, Mode
from framework.actor_critics.planning import as_given, in_parts, roll
from framework.data import ActionKind, ActionSpec, Imagination, InferredBatch, Latent, LatentSpec, Losses, Metrics
from framework.errors import UserError
from framework.functional.planning import best_plans, plan_return, refit

LEAST_STD = 1e-3


@final
@actor_critics.register
class CEMPlanner(ActorCritic):
    """Plan anew at every step: draw plans, keep the best, draw around those; Hafner et al. (2019), *Learning Latent Dynamics*, Algorithm 2.

        a ~ N(mu, sigma^2) clipped to [-1, 1],    score = sum_k r_k,    mu, sigma of the `elites` best,    `iterations` times from N(0, 1)

    The first mean action is taken, with `N(0, action_noise)` on top when exploring. There is no value and no policy: what lies beyond the
    horizon does not count. With a head `continuation` a reward counts by the probability that it is reached; without one, as in the paper.
    The deviation is that of the released code, `E (a - mu)^2`; the paper prints a mean absolute one.

    Acting costs `candidates horizon iterations` steps of the model, 120,000 by default, in each environment.
    """

    action_kinds: tuple[ActionKind, ...] = ("continuous",)
    groups: tuple[str, ...] = ()
    needs_dynamics_gradient: bool = False
    imagines: bool = False

    def __init__(
        self,
        *,
        latent: LatentSpec,
        action: ActionSpec,
        embedding_size: int,
        horizon: int = 12,
        candidates: int = 1000,
        iterations: int = 10,
        elites: int = 100,
        action_noise: float = 0.3,
    ) -> None:
        super().__init__(latent=latent, action=action, embedding_size=embedding_size)
        if min(horizon, iterations) < 1 or not 1 <= elites <= candidates or action_noise < 0:
            raise UserError(
                f"CEMPlanner.horizon = {horizon} and CEMPlanner.iterations = {iterations} must be at least 1, CEMPlanner.elites = {elites} "
                f"from 1 to CEMPlanner.candidates = {candidates}, and CEMPlanner.action_noise = {action_noise} not negative."
            )
        self.action, self.action_noise = action, action_noise
        self.horizon, self.candidates, self.iterations, self.elites = horizon, candidates, iterations, elites

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        return torch.randn(*leading, self.action.size, generator=generator, device=generator.device)

    def sample(self, features: Float[Tensor, "*B F"], noise: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
        """An action of the distribution that planning starts from, whatever the features."""
        return noise.clamp(-1, 1)

    @torch.no_grad()
    def act(
        self, latent: Latent, plan: Float[Tensor, "N I"], imagine: Foresee, mode: Mode, generator: torch.Generator
    ) -> tuple[Float[Tensor, "N A"], Float[Tensor, "N I"]]:
        parts = in_parts(latent, plan, self.candidates)
        action = torch.cat([self._plan(part, imagine, generator)[0] for part, _ in parts])
        if mode == "explore":
            action = action + self.action_noise * self.draw_noise(action.shape[0], generator=generator)
        return action.clamp(-1, 1), plan

    def _plan(self, latent: Latent, imagine: Foresee, generator: torch.Generator) -> Float[Tensor, "H N A"]:
        """The mean of the last distribution."""
        size = latent.stochastic.shape[0]
        mean = latent.stochastic.new_zeros(self.horizon, size, self.action.size)
        std = torch.ones_like(mean)
        for _ in range(self.iterations):
            noise = self.draw_noise(self.horizon, size, self.candidates, generator=generator)
            plans = (mean[:, :, None] + std[:, :, None] * noise).clamp(-1, 1)
            scores = rearrange(_scores(roll(latent, as_given, plans, imagine, generator)), "(n m) -> n m", n=size)
            best, _ = best_plans(plans, scores, self.elites)
            mean, std = refit(best, scores.new_full((size, self.elites), 1 / self.elites))
            std = std.clamp(min=LEAST_STD)
        return mean

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        return {}, {}

    def group(self, name: str) -> list[nn.Parameter]:
        raise UserError(f"CEMPlanner learns nothing, and has no group of parameters '{name}'.")

    def after_update(self) -> None:
        return


def _scores(rolled: Imagination) -> Float[Tensor, " N"]:
    reward = rolled.reward[:, 1:].float()
    return plan_return(reward, rolled.continuation[:, 1:].float(), reward.new_zeros(reward.shape[0]))
