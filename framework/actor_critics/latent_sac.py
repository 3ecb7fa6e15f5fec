"""Soft actor-critic on the latents of replayed steps."""

import math
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework import actor_critics
from framework.actor_critics.policy_and_value import ActionValueBehavior, joined
from framework.actor_critics.policy_network import ClampedLogStdParametrization, PolicyNetwork
from framework.data import Factory, Imagination, InferredBatch, Losses, Metrics, detached
from framework.errors import UserError
from framework.functional.distributions import squashed_sample
from framework.functional.masking import masked
from framework.nn.blocks import Activation
from framework.specs import ModelSpecs
from framework.values.base import Value


@final
@actor_critics.register
class LatentSAC(ActionValueBehavior):
    """SLAC's behavior: soft actor-critic on replayed latents, without imagination; Lee et al. (2020), Haarnoja et al. (2018).

        y_t          r_t + gamma (1 - terminal_t) (Q'(s_t, a') - alpha log pi(a' | s_t)),    a' ~ pi(. | s_t)
        value        (Q(s_{t-1}, a_t) - y_t)^2 / 2
        actor        alpha log pi(a' | s_t) - Q(s_t, a'),    through a'
        temperature  -alpha (log pi(a' | s_t) + H),    H = -A unless `target_entropy` is bound, in nats

    *Soft Actor-Critic Algorithms and Applications*: Q is the smaller of two values, an `EnsembleValue` of two; Q' that of their slow
    copies, `NormalValue.slow_rate = 0.005`. SLAC's actor sees observations in place of latents. One sample of the policy at each step
    serves all three losses. The value has no loss at the first step of an episode, actor and temperature none at a terminal one.

    Gradients: features are detached, so that the model is trained by its own losses alone; `y` is constant; the temperature is constant
    for the actor, and the policy for the temperature.
    """

    groups: tuple[str, ...] = ("actor", "value", "temperature")

    def __init__(
        self,
        *,
        model: ModelSpecs,
        value: Factory[Value],
        layers: int = 2,
        units: int = 256,
        activation: Activation = "relu",
        discount: float = 0.99,
        initial_temperature: float = 1.0,
        target_entropy: float | None = None,
    ) -> None:
        if initial_temperature <= 0:
            raise UserError(f"LatentSAC.initial_temperature = {initial_temperature} must be positive; 1.0 is SLAC's.")
        actor = PolicyNetwork(
            model=model, parametrization=ClampedLogStdParametrization(), layers=layers, units=units, activation=activation
        )
        action_value = value(feature_size=model.latent.feature_size + model.action.size)
        super().__init__(model=model, actor=actor, value=action_value)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(initial_temperature)))
        self.discount = discount
        self.target_entropy = -float(self.action.size) if target_entropy is None else target_entropy

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        features, acting = inferred.features.detach(), ~inferred.batch.is_terminal
        policy, temperature = self.policy(features), self.log_temperature.exp()
        action, log_density = squashed_sample(policy, noise)
        entropy_cost = temperature.detach() * log_density
        with torch.no_grad():
            soft_value = self.value.bootstrap(joined(features, action)) - entropy_cost
        value = self.value(joined(features, action))
        losses = {
            "actor": masked(entropy_cost - value, acting),
            "value": self.value_loss(inferred, soft_value),
            "temperature": masked(-temperature * (log_density.detach() + self.target_entropy), acting),
        }
        metrics = {
            "behavior/value": masked(value, acting).mean(),
            "behavior/entropy": masked(-log_density, acting).mean(),
            "behavior/temperature": temperature,
            "behavior/policy_std": policy.std.mean(),
            "behavior/action_magnitude": action.abs().mean(),
        }
        return losses, detached(metrics)

    def group(self, name: str) -> list[nn.Parameter]:
        return [self.log_temperature] if name == "temperature" else super().group(name)
