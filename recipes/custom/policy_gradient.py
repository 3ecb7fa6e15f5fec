"""An actor-critic of your own: the score-function gradient, which asks nothing of the dynamics."""

import math
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from framework import actor_critics
from framework.actor_critics.base import Foresee, Mode
from framework.data import ActionKind, ActionSpec, Factory, Imagination, InferredBatch, Latent, LatentSpec, Losses, Metrics
from framework.functional.distributions import HALF_LOG_TAU, TanhNormal
from framework.functional.returns import discount_weights, lambda_return
from framework.nn.blocks import MLP, Activation
from framework.values.base import Value


@final
@actor_critics.register
class PolicyGradient(actor_critics.ActorCritic):
    """Make likelier what returned more than expected: REINFORCE (Williams, 1992) with a value as baseline, on imagined lambda-returns.

        actor  -w_t (log pi(a_t | s_t) sg(R_t - v(s_t)) + entropy H),     value  w_t (v(s_t) - sg R_t)^2 / 2

    Imagination is rolled out without gradient: an update costs less than `DynamicsBackprop`, and neither a rough nor a wrong
    gradient of the dynamics can mislead it; the price is variance. The policy is a tanh-normal; `H` is its entropy before the tanh.

    Gradients: the actor by its own log-density alone; advantage, weights, actions and features are detached.
    """

    action_kinds: tuple[ActionKind, ...] = ("continuous",)
    groups: tuple[str, ...] = ("actor", "value")
    needs_dynamics_gradient: bool = False

    def __init__(
        self,
        *,
        latent: LatentSpec,
        action: ActionSpec,
        embedding_size: int,
        value: Factory[Value],
        layers: int = 2,
        units: int = 200,
        activation: Activation = "elu",
        discount: float = 0.99,
        return_lambda: float = 0.95,
        entropy: float = 1e-3,
        initial_std: float = 1.0,
        minimum_std: float = 0.1,
    ) -> None:
        super().__init__(latent=latent, action=action, embedding_size=embedding_size)
        feature_size = latent.feature_size
        self.actor = MLP(input_size=feature_size, output_size=2 * action.size, layers=layers, units=units, activation=activation)
        self.value: Value = value(feature_size=feature_size)
        self.action, self.discount, self.return_lambda, self.entropy = action, discount, return_lambda, entropy
        self.minimum_std, self.raw_std = minimum_std, math.log(math.expm1(initial_std))

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        return torch.randn(*leading, self.action.size, generator=generator, device=generator.device)

    def policy(self, features: Float[Tensor, "*B F"]) -> TanhNormal:
        """The distribution of actions; its mean stays where the hyperbolic tangent still has a slope."""
        mean, std = self.actor(features).float().chunk(2, dim=-1)
        return TanhNormal(mean=2 * torch.tanh(mean / 2), std=F.softplus(std + self.raw_std) + self.minimum_std)

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
        features = imagination.features.detach()
        discount = self.discount * imagination.continuation[:, 1:].detach()
        with torch.no_grad():
            following = self.value.bootstrap(features[:, 1:])
            returns = lambda_return(imagination.reward[:, 1:].detach(), discount, following, self.return_lambda)
            advantage = returns - self.value(features[:, :-1])
        weight = discount_weights(discount)
        policy = self.policy(features[:, :-1])
        likelihood = policy.log_density(imagination.action.detach())
        entropy = (policy.std.log() + HALF_LOG_TAU + 0.5).sum(dim=-1)
        losses = {
            "actor": -weight * (likelihood * advantage + self.entropy * entropy),
            "value": weight * self.value.loss(features[:, :-1], returns),
        }
        metrics = {
            "behavior/return": returns.mean(),
            "behavior/advantage": advantage.abs().mean(),
            "behavior/reward": imagination.reward.mean(),
            "behavior/entropy": entropy.mean(),
            "behavior/policy_std": policy.std.mean(),
        }
        return losses, metrics

    def group(self, name: str) -> list[nn.Parameter]:
        module = {"actor": self.actor, "value": self.value}[name]
        return [parameter for parameter in module.parameters() if parameter.requires_grad]

    def after_update(self) -> None:
        self.value.after_update()
