"""TD-MPC2's planner: a short plan around a learned policy, with a learned value beyond its end."""

from typing import Final, final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework import actor_critics
from framework.actor_critics.action_values import beside, temporal_difference
from framework.actor_critics.base import ActorCritic, Foresee, Mode
from framework.actor_critics.planning import as_given, in_parts, roll
from framework.data import ActionKind, ActionSpec, Factory, Imagination, InferredBatch, Latent, LatentSpec, Losses, Metrics
from framework.errors import UserError
from framework.functional.distributions import TanhNormal
from framework.functional.masking import masked
from framework.functional.planning import best_plans, plan_return, refit
from framework.functional.returns import percentile_range
from framework.functional.squashing import squashed_sample
from framework.nn.blocks import MLP, Activation
from framework.values.base import Value

LOG_STD: Final = (-10.0, 2.0)
"""Between these the policy's logarithm of the deviation lies, and in their middle at first."""


@final
@actor_critics.register
class MPPIPlanner(ActorCritic):
    """Model-predictive path integral control with a policy and a value: TD-MPC2 (Hansen et al., 2024), Section 3.2 and Table 8.

        a ~ N(mu, sigma^2) clipped to [-1, 1], and `policy_plans` of the policy;    G = sum_k gamma^{k-1} r_k + gamma^H Q(s_H, pi(s_H))
        w = softmax(temperature G) over the `elites` best,    mu, sigma under w, sigma within [minimum_std, maximum_std]

    The first action of an elite drawn by `w` is taken, with `sigma` on top when exploring. The next plan starts from this mean, shifted by
    a step: the intention. With a head `continuation`, what may not be reached counts less.

        value  (Q(s_{t-1}, a_t) - r_t - gamma (1 - terminal_t) Q'(s_t, a'))^2 / 2,    actor  -Q(s_t, a') / S - entropy H(a')

    Both learn from replayed steps, as in the paper, where rewards are real and nothing is rolled out; `S` is the range from the 5th to the
    95th percentile of Q in the batch, at least 1. Unlike the paper: `S` has no moving average; the value is what `value` names
    (`EnsembleValue` of two, `NormalValue.slow_rate = 0.01`) where theirs is five of 101 bins, two drawn at random; the policy learns on
    posteriors, theirs on rollouts too; and the value's error does not shape the model.

    Gradients: features are detached, and the value's target is constant; the actor's loss goes through its action.
    """

    action_kinds: tuple[ActionKind, ...] = ("continuous",)
    groups: tuple[str, ...] = ("actor", "value")
    needs_dynamics_gradient: bool = False
    imagines: bool = False

    def __init__(
        self,
        *,
        latent: LatentSpec,
        action: ActionSpec,
        embedding_size: int,
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
        super().__init__(latent=latent, action=action, embedding_size=embedding_size)
        if min(horizon, iterations) < 1 or not 1 <= elites <= candidates or not 0 <= policy_plans <= candidates:
            raise UserError(
                f"MPPIPlanner.horizon = {horizon} and MPPIPlanner.iterations = {iterations} must be at least 1, "
                f"MPPIPlanner.elites = {elites} (one or more) and MPPIPlanner.policy_plans = {policy_plans} at most "
                f"MPPIPlanner.candidates = {candidates}."
            )
        if not 0 < minimum_std <= maximum_std:
            raise UserError(
                f"MPPIPlanner.minimum_std = {minimum_std} must lie above 0, and MPPIPlanner.maximum_std = {maximum_std} not below."
            )
        self.actor = MLP(
            input_size=latent.feature_size, output_size=2 * action.size, layers=layers, units=units, activation=activation, norm="layer"
        )
        self.value: Value = value(feature_size=latent.feature_size + action.size)
        self.action, self.discount, self.entropy, self.temperature = action, discount, entropy, temperature
        self.horizon, self.candidates, self.policy_plans = horizon, candidates, policy_plans
        self.iterations, self.elites, self.minimum_std, self.maximum_std = iterations, elites, minimum_std, maximum_std

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        return torch.randn(*leading, self.action.size, generator=generator, device=generator.device)

    def policy(self, features: Float[Tensor, "*B F"]) -> TanhNormal:
        """The distribution of actions that plans are compared with, and that acts beyond their end."""
        mean, raw = self.actor(features).float().chunk(2, dim=-1)
        low, high = LOG_STD
        return TanhNormal(mean=mean, std=torch.exp(low + (high - low) / 2 * (torch.tanh(raw) + 1)))

    def sample(self, features: Float[Tensor, "*B F"], noise: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
        return self.policy(features.detach()).sample(noise)

    def initial(self, size: int) -> Float[Tensor, "N I"]:
        """A plan to do nothing."""
        return torch.zeros(size, self.horizon * self.action.size)

    @torch.no_grad()
    def act(
        self, latent: Latent, plan: Float[Tensor, "N I"], imagine: Foresee, mode: Mode, generator: torch.Generator
    ) -> tuple[Float[Tensor, "N A"], Float[Tensor, "N I"]]:
        parts = in_parts(latent, plan, self.candidates)
        planned = [self._plan(part, meant, imagine, mode, generator) for part, meant in parts]
        return torch.cat([action for action, _ in planned]), torch.cat([meant for _, meant in planned])

    def _plan(
        self, latent: Latent, plan: Tensor, imagine: Foresee, mode: Mode, generator: torch.Generator
    ) -> tuple[Float[Tensor, "N A"], Float[Tensor, "N I"]]:
        size = plan.shape[0]
        mean = rearrange(plan, "n (h a) -> h n a", h=self.horizon)
        std, by_policy = torch.full_like(mean, self.maximum_std), self._by_policy(latent, imagine, generator)
        for _ in range(self.iterations):
            noise = self.draw_noise(self.horizon, size, self.candidates - self.policy_plans, generator=generator)
            plans = torch.cat([by_policy, (mean[:, :, None] + std[:, :, None] * noise).clamp(-1, 1)], dim=2)
            best, scores = best_plans(plans, self._scores(latent, plans, imagine, generator), self.elites)
            weights = torch.softmax(self.temperature * scores, dim=-1)
            mean, std = refit(best, weights)
            std = std.clamp(self.minimum_std, self.maximum_std)
        drawn = torch.multinomial(weights, 1, generator=generator).squeeze(-1)
        action = best[0, torch.arange(size, device=drawn.device), drawn]
        if mode == "explore":
            action = action + std[0] * self.draw_noise(size, generator=generator)
        shifted = torch.cat([mean[1:], torch.zeros_like(mean[:1])])
        return action.clamp(-1, 1), rearrange(shifted, "h n a -> n (h a)")

    def _by_policy(self, latent: Latent, imagine: Foresee, generator: torch.Generator) -> Float[Tensor, "H N P A"]:
        """What the policy would do."""
        size = latent.stochastic.shape[0]
        noise = self.draw_noise(self.horizon, size, self.policy_plans, generator=generator)
        if not self.policy_plans:
            return noise
        return rearrange(roll(latent, self.sample, noise, imagine, generator).action, "(n p) h a -> h n p a", n=size)

    def _scores(
        self, latent: Latent, plans: Float[Tensor, "H N M A"], imagine: Foresee, generator: torch.Generator
    ) -> Float[Tensor, "N M"]:
        """The reward of each plan, and the value of where it ends."""
        rolled = roll(latent, as_given, plans, imagine, generator)
        last = rolled.features[:, -1]
        value = self.value(beside(last, self.sample(last, self.draw_noise(last.shape[0], generator=generator))))
        found = plan_return(rolled.reward[:, 1:].float(), self.discount * rolled.continuation[:, 1:].float(), value)
        return rearrange(found, "(n m) -> n m", m=self.candidates)

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        features, acting = inferred.features.detach(), ~inferred.batch.is_terminal
        policy = self.policy(features)
        action, log_density = squashed_sample(policy, noise)
        with torch.no_grad():
            following = self.value.bootstrap(beside(features, action))
        worth = self.value(beside(features, action))
        scale = percentile_range(worth.detach()).clamp(min=1.0)
        losses = {
            "actor": masked(self.entropy * log_density - worth / scale, acting),
            "value": temporal_difference(self.value, inferred, following, self.discount),
        }
        metrics = {
            "behavior/value": masked(worth, acting).mean(),
            "behavior/entropy": masked(-log_density, acting).mean(),
            "behavior/policy_std": policy.std.mean(),
            "behavior/action_magnitude": action.abs().mean(),
        }
        return losses, metrics

    def group(self, name: str) -> list[nn.Parameter]:
        module = {"actor": self.actor, "value": self.value}[name]
        return [parameter for parameter in module.parameters() if parameter.requires_grad]

    def after_update(self) -> None:
        self.value.after_update()
