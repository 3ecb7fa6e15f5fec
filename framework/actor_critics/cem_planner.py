"""PlaNet's planner: the cross-entropy method."""

from typing import Final, final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from framework import actor_critics
from framework.actor_critics.acting import check_search, exploration_noise, open_loop, roll_out
from framework.actor_critics.base import Action, ActorCritic, Imagine, Mode, Plan
from framework.data import Imagination, InferredBatch, Latent, Losses, Metrics
from framework.errors import UserError
from framework.functional.returns import best_plans, plan_return, refit
from framework.specs import ActionKind, ModelSpecs

MINIMUM_STD: Final = 1e-3


@final
@actor_critics.register
class CEMPlanner(ActorCritic):
    """PlaNet's behavior: planning by the cross-entropy method at every step; Hafner et al. (2019), Algorithm 2.

        a ~ N(mu, sigma^2) clipped to [-1, 1],    score = sum_k r_k,    mu, sigma of the `elites` best,    `iterations` times from N(0, 1)

    *Learning Latent Dynamics for Planning from Pixels*. The action is the first of the mean plan, plus `N(0, action_noise^2)` when
    exploring. Nothing is learned, and rewards beyond the horizon do not count. A head `continuation`, which the paper does not have,
    weights each reward by the probability of reaching it. The standard deviation is that of the released code, `sqrt(E (a - mu)^2)`; the
    paper prints a mean absolute deviation.

    Acting costs `candidates horizon iterations` steps of the model in each environment, 120,000 by default.
    """

    action_kinds: tuple[ActionKind, ...] = ("continuous",)
    groups: tuple[str, ...] = ()
    needs_dynamics_gradient: bool = False
    imagines: bool = False

    def __init__(
        self,
        *,
        model: ModelSpecs,
        horizon: int = 12,
        candidates: int = 1000,
        iterations: int = 10,
        elites: int = 100,
        action_noise: float = 0.3,
    ) -> None:
        super().__init__(model=model)
        check_search("CEMPlanner", horizon=horizon, iterations=iterations, candidates=candidates, elites=elites)
        if action_noise < 0:
            raise UserError(f"CEMPlanner.action_noise = {action_noise} must not be negative.")
        self.horizon, self.candidates, self.iterations, self.elites = horizon, candidates, iterations, elites
        self.action_noise = action_noise

    def sample(self, features: Float[Tensor, "*B F"], noise: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
        """An action of the distribution that planning starts from, whatever the features."""
        return noise.clamp(-1, 1)

    @torch.no_grad()
    def act(self, latent: Latent, plan: Plan, imagine: Imagine, mode: Mode, generator: torch.Generator) -> tuple[Action, Plan]:
        size = plan.shape[0]
        mean = latent.stochastic.new_zeros(self.horizon, size, self.action.size)
        std = torch.ones_like(mean)
        for _ in range(self.iterations):
            noise = self.draw_noise(self.horizon, size, self.candidates, generator=generator)
            plans = (mean[:, :, None] + std[:, :, None] * noise).clamp(-1, 1)
            rollouts = roll_out(latent, open_loop, plans, imagine, generator)
            reward, continuation = rollouts.reward[:, 1:].float(), rollouts.continuation[:, 1:].float()
            scores = plan_return(reward, continuation, torch.zeros_like(reward[:, 0]))
            best, _ = best_plans(plans, rearrange(scores, "(n m) -> n m", n=size), self.elites)
            mean, std = refit(best, scores.new_full((size, self.elites), 1 / self.elites))
            std = std.clamp(min=MINIMUM_STD)
        return (exploration_noise(mean[0], self.action, self.action_noise, generator) if mode == "explore" else mean[0]), plan

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        return {}, {}
