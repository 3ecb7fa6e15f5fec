"""An actor-critic of your own: the score-function gradient, without a gradient through the dynamics."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from framework import actor_critics
from framework.actor_critics.policy_and_value import PolicyAndValue
from framework.actor_critics.policy_network import PolicyNetwork, TanhNormalParametrization
from framework.data import Factory, Imagination, InferredBatch, Losses, Metrics, detached
from framework.functional.distributions import TanhNormal, normal_entropy
from framework.functional.returns import discount_weights, lambda_return
from framework.nn.blocks import Activation
from framework.specs import ActionKind, ModelSpecs
from framework.values.base import Value


@final
@actor_critics.register
class PolicyGradient(PolicyAndValue):
    """REINFORCE with a value as baseline, on imagined lambda-returns; Williams (1992).

        actor  -w_t (log pi(a_t | s_t) sg(R_t - v(s_t)) + entropy H),     value  w_t (v(s_t) - sg R_t)^2 / 2
        w_t    c_0 prod_{0 < i <= t} gamma c_i, with the predicted continuation c

    Rollouts take no gradient: an update costs less than with `DynamicsBackprop`, and errors in the gradient of the dynamics cannot
    mislead it; its variance is larger. The policy is a tanh-normal; `H` is its entropy before the tanh.

    Gradients: the actor by its own log-density alone; advantage, weights, actions and features are detached.
    """

    action_kinds: tuple[ActionKind, ...] = ("continuous",)
    needs_dynamics_gradient: bool = False

    def __init__(
        self,
        *,
        model: ModelSpecs,
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
        parametrization = TanhNormalParametrization(mean_scale=2.0, initial_std=initial_std, minimum_std=minimum_std)
        actor = PolicyNetwork(model=model, parametrization=parametrization, layers=layers, units=units, activation=activation)
        state_value = value(feature_size=model.latent.feature_size)
        super().__init__(model=model, actor=actor, value=state_value)
        self.discount, self.return_lambda, self.entropy = discount, return_lambda, entropy

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        features = imagination.features.detach()
        discount = self.discount * imagination.continuation[:, 1:].detach()
        with torch.no_grad():
            next_value = self.value.bootstrap(features[:, 1:])
            returns = lambda_return(imagination.reward[:, 1:].detach(), discount, next_value, self.return_lambda)
            advantage = returns - self.value(features[:, :-1])
        weight = imagination.continuation[:, :1].detach() * discount_weights(discount)
        policy = self.policy(features[:, :-1])
        assert isinstance(policy, TanhNormal)
        log_density = policy.log_density(imagination.action.detach())
        entropy = normal_entropy(policy.std).sum(dim=-1)
        losses = {
            "actor": -weight * (log_density * advantage + self.entropy * entropy),
            "value": weight * self.value.loss(features[:, :-1], returns),
        }
        metrics = {
            "behavior/return": returns.mean(),
            "behavior/advantage": advantage.abs().mean(),
            "behavior/reward": imagination.reward.mean(),
            "behavior/entropy": entropy.mean(),
            "behavior/policy_std": policy.std.mean(),
        }
        return losses, detached(metrics)
