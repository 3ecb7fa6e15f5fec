"""TD-MPC2's planner."""

from typing import final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from framework import actor_critics
from framework.actor_critics.acting import check_search, open_loop, roll_out
from framework.actor_critics.base import Action, Imagine, Mode, Plan
from framework.actor_critics.policy_and_value import ActionValueBehavior, joined
from framework.actor_critics.policy_network import PolicyNetwork, SquashedLogStdParametrization
from framework.data import Factory, Imagination, InferredBatch, Latent, Losses, Metrics, detached
from framework.errors import UserError
from framework.functional.distributions import squashed_sample
from framework.functional.masking import masked
from framework.functional.returns import best_plans, percentile_range, plan_return, refit
from framework.nn.blocks import Activation
from framework.specs import ModelSpecs
from framework.values.base import Value


@final
@actor_critics.register
class MPPIPlanner(ActionValueBehavior):
    """TD-MPC2's behavior: model-predictive path integral control around a policy, with a value beyond the horizon; Hansen et al. (2024).

        a ~ N(mu, sigma^2) clipped to [-1, 1], and `policy_plans` of the policy;    G = sum_k gamma^{k-1} r_k + gamma^H Q(s_H, pi(s_H))
        w = softmax(temperature G) over the `elites` best,    mu, sigma under w, sigma within [minimum_std, maximum_std]

    Section 3.2 and Table 8. The action is the first of an elite drawn by `w`, plus `sigma` times noise when exploring. The next plan
    starts from this mean, shifted by a step. A head `continuation` weights rewards and value by the probability of reaching them.

        value  (Q(s_{t-1}, a_t) - r_t - gamma (1 - terminal_t) Q'(s_t, a'))^2 / 2,    actor  -Q(s_t, a') / S - entropy H(a')

    Both are trained on replayed steps, as in the paper; `S` is the range from the 5th to the 95th percentile of Q in the batch, at least
    1. Unlike the paper: `S` has no moving average; the entropy `H(a')` is that of the squashed action, where the released code has that
    of the Gaussian before the squash, times the size A of an action; the value is whatever `value` binds (`EnsembleValue` of two,
    `NormalValue.slow_rate = 0.01`), where the paper has five of 101 bins and draws two at random; the policy is trained on posteriors,
    the paper's on rollouts too; and the value's loss does not train the model.

    Gradients: features are detached, and the value's target is constant; the actor's loss goes through its action.
    """

    def __init__(
        self,
        *,
        model: ModelSpecs,
        value: Factory[Value],
        layers: int = 2,
        units: int = 512,
        activation: Activation = "mish",
        discount: float = 0.99,
        entropy: float = 1e-4,
        horizon: int = 3,
        candidates: int = 512,
        policy_plans: int = 24,
        iterations: int = 6,
        elites: int = 64,
        temperature: float = 0.5,
        minimum_std: float = 0.05,
        maximum_std: float = 2.0,
    ) -> None:
        check_search("MPPIPlanner", horizon=horizon, iterations=iterations, candidates=candidates, elites=elites)
        if not 0 <= policy_plans <= candidates:
            raise UserError(f"MPPIPlanner.policy_plans = {policy_plans} must be between 0 and MPPIPlanner.candidates = {candidates}.")
        if not 0 < minimum_std <= maximum_std:
            raise UserError(
                f"MPPIPlanner.minimum_std = {minimum_std} must be positive and at most MPPIPlanner.maximum_std = {maximum_std}."
            )
        actor = PolicyNetwork(
            model=model, parametrization=SquashedLogStdParametrization(), layers=layers, units=units, activation=activation, norm="layer"
        )
        action_value = value(feature_size=model.latent.feature_size + model.action.size)
        super().__init__(model=model, actor=actor, value=action_value)
        self.horizon, self.candidates, self.policy_plans = horizon, candidates, policy_plans
        self.discount, self.entropy = discount, entropy
        self.iterations, self.elites, self.temperature = iterations, elites, temperature
        self.minimum_std, self.maximum_std = minimum_std, maximum_std

    def initial(self, size: int) -> Plan:
        """A plan of zeros."""
        return torch.zeros(size, self.horizon * self.action.size)

    @torch.no_grad()
    def act(self, latent: Latent, plan: Plan, imagine: Imagine, mode: Mode, generator: torch.Generator) -> tuple[Action, Plan]:
        size = plan.shape[0]
        mean = rearrange(plan, "n (h a) -> h n a", h=self.horizon)
        std, policy_plans = torch.full_like(mean, self.maximum_std), self._policy_plans(latent, imagine, generator)
        for _ in range(self.iterations):
            noise = self.draw_noise(self.horizon, size, self.candidates - self.policy_plans, generator=generator)
            plans = torch.cat([policy_plans, (mean[:, :, None] + std[:, :, None] * noise).clamp(-1, 1)], dim=2)
            best, scores = best_plans(plans, self._scores(latent, plans, imagine, generator), self.elites)
            weights = torch.softmax(self.temperature * scores, dim=-1)
            mean, std = refit(best, weights)
            std = std.clamp(self.minimum_std, self.maximum_std)
        chosen = torch.multinomial(weights, 1, generator=generator).squeeze(-1)
        action = best[0, torch.arange(size, device=chosen.device), chosen]
        if mode == "explore":
            action = action + std[0] * self.draw_noise(size, generator=generator)
        shifted = torch.cat([mean[1:], torch.zeros_like(mean[:1])])
        return action.clamp(-1, 1), rearrange(shifted, "h n a -> n (h a)")

    def _policy_plans(self, latent: Latent, imagine: Imagine, generator: torch.Generator) -> Float[Tensor, "H N P A"]:
        size = latent.stochastic.shape[0]
        noise = self.draw_noise(self.horizon, size, self.policy_plans, generator=generator)
        if not self.policy_plans:
            return noise
        return rearrange(roll_out(latent, self.sample, noise, imagine, generator).action, "(n p) h a -> h n p a", n=size)

    def _scores(
        self, latent: Latent, plans: Float[Tensor, "H N M A"], imagine: Imagine, generator: torch.Generator
    ) -> Float[Tensor, "N M"]:
        """The return of each plan, bootstrapped from the value of its last latent."""
        rollouts = roll_out(latent, open_loop, plans, imagine, generator)
        last = rollouts.features[:, -1]
        value = self.value(joined(last, self.sample(last, self.draw_noise(last.shape[0], generator=generator))))
        returns = plan_return(rollouts.reward[:, 1:].float(), self.discount * rollouts.continuation[:, 1:].float(), value)
        return rearrange(returns, "(n m) -> n m", m=self.candidates)

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        features, acting = inferred.features.detach(), ~inferred.batch.is_terminal
        policy = self.policy(features)
        action, log_density = squashed_sample(policy, noise)
        with torch.no_grad():
            next_value = self.value.bootstrap(joined(features, action))
        value = self.value(joined(features, action))
        scale = percentile_range(value.detach()).clamp(min=1.0)
        losses = {
            "actor": masked(self.entropy * log_density - value / scale, acting),
            "value": self.value_loss(inferred, next_value),
        }
        metrics = {
            "behavior/value": masked(value, acting).mean(),
            "behavior/entropy": masked(-log_density, acting).mean(),
            "behavior/policy_std": policy.std.mean(),
            "behavior/action_magnitude": action.abs().mean(),
        }
        return losses, detached(metrics)
