"""Soft actor-critic on the latents of replayed steps."""

import math
from typing import Final, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework import actor_critics
from framework.actor_critics.action_values import beside, temporal_difference
from framework.actor_critics.base import ActorCritic, Foresee, Mode
from framework.data import ActionKind, ActionSpec, Factory, Imagination, InferredBatch, Latent, LatentSpec, Losses, Metrics
from framework.errors import UserError
from framework.functional.distributions import TanhNormal
from framework.functional.masking import masked
from framework.functional.squashing import squashed_sample
from framework.nn.blocks import MLP, Activation
from framework.values.base import Value

LOG_STD: Final = (-20.0, 2.0)
"""Where the released code holds the logarithm of the deviation."""


@final
@actor_critics.register
class LatentSAC(ActorCritic):
    """Learn a soft value of actions and a policy from replayed latents; nothing is imagined.

        y_t          r_t + gamma (1 - terminal_t) (Q'(s_t, a') - alpha log pi(a' | s_t)),    a' ~ pi(. | s_t)
        value        (Q(s_{t-1}, a_t) - y_t)^2 / 2
        actor        alpha log pi(a' | s_t) - Q(s_t, a'),    through a'
        temperature  -alpha (log pi(a' | s_t) + H),    H = -A unless `target_entropy` says otherwise, in nats

    Haarnoja et al. (2018), *Soft Actor-Critic Algorithms and Applications*: Q is the smaller of two, `EnsembleValue` of two; Q' that of
    their slow copies, `NormalValue.slow_rate = 0.005`. The value sees `[s, a]`. On the latents of a model it is SLAC (Lee et al., 2020),
    whose actor sees observations in place of latents. One sample of the policy at each step serves all three losses. A step is left out
    where nothing led to it (value), or where nothing is done (actor and temperature).

    Gradients: features are detached, so that the model learns from its own losses alone; `y` is constant; the temperature is constant
    for the actor, and the policy for the temperature.
    """

    action_kinds: tuple[ActionKind, ...] = ("continuous",)
    groups: tuple[str, ...] = ("actor", "value", "temperature")
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
        units: int = 256,
        activation: Activation = "relu",
        discount: float = 0.99,
        initial_temperature: float = 1.0,
        target_entropy: float | None = None,
    ) -> None:
        super().__init__(latent=latent, action=action, embedding_size=embedding_size)
        if initial_temperature <= 0:
            raise UserError(f"LatentSAC.initial_temperature = {initial_temperature} must be positive; 1.0 is SLAC's.")
        self.actor = MLP(input_size=latent.feature_size, output_size=2 * action.size, layers=layers, units=units, activation=activation)
        self.value: Value = value(feature_size=latent.feature_size + action.size)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(initial_temperature)))
        self.action, self.discount = action, discount
        self.target_entropy = -float(action.size) if target_entropy is None else target_entropy

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        return torch.randn(*leading, self.action.size, generator=generator, device=generator.device)

    def policy(self, features: Float[Tensor, "*B F"]) -> TanhNormal:
        """The distribution of actions."""
        mean, log_std = self.actor(features).float().chunk(2, dim=-1)
        return TanhNormal(mean=mean, std=log_std.clamp(*LOG_STD).exp())

    def sample(self, features: Float[Tensor, "*B F"], noise: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
        return self.policy(features.detach()).sample(noise)

    @torch.no_grad()
    def act(
        self, latent: Latent, plan: Float[Tensor, "N I"], imagine: Foresee, mode: Mode, generator: torch.Generator
    ) -> tuple[Float[Tensor, "N A"], Float[Tensor, "N I"]]:
        policy = self.policy(latent.features)
        if mode == "mode":
            return torch.tanh(policy.mean), plan
        return policy.sample(self.draw_noise(plan.shape[0], generator=generator)), plan

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        features, acting = inferred.features.detach(), ~inferred.batch.is_terminal
        policy, temperature = self.policy(features), self.log_temperature.exp()
        action, log_density = squashed_sample(policy, noise)
        cost = temperature.detach() * log_density
        with torch.no_grad():
            following = self.value.bootstrap(beside(features, action)) - cost
        worth = self.value(beside(features, action))
        losses = {
            "actor": masked(cost - worth, acting),
            "value": temporal_difference(self.value, inferred, following, self.discount),
            "temperature": masked(-temperature * (log_density.detach() + self.target_entropy), acting),
        }
        metrics = {
            "behavior/value": masked(worth, acting).mean(),
            "behavior/entropy": masked(-log_density, acting).mean(),
            "behavior/temperature": temperature,
            "behavior/policy_std": policy.std.mean(),
            "behavior/action_magnitude": action.abs().mean(),
        }
        return losses, metrics

    def group(self, name: str) -> list[nn.Parameter]:
        if name == "temperature":
            return [self.log_temperature]
        module = {"actor": self.actor, "value": self.value}[name]
        return [parameter for parameter in module.parameters() if parameter.requires_grad]

    def after_update(self) -> None:
        self.value.after_update()
