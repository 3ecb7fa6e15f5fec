"""Dreamer V1's behavior."""

from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from framework import actor_critics
from framework.actor_critics.acting import exploration_noise
from framework.actor_critics.base import Action, Imagine, Mode, Plan
from framework.actor_critics.policy_and_value import PolicyAndValue
from framework.actor_critics.policy_network import PolicyNetwork, TanhNormalParametrization
from framework.data import Factory, Imagination, InferredBatch, Latent, Losses, Metrics, detached
from framework.functional.distributions import TanhNormal
from framework.functional.returns import discount_weights, lambda_return, percentile_range
from framework.nn.blocks import Activation
from framework.specs import ModelSpecs
from framework.values.base import Value

SAMPLES = 100
"""Among so many samples of the policy the paper's code looks for the likeliest action."""


@final
@actor_critics.register
class DynamicsBackprop(PolicyAndValue):
    """Dreamer V1's behavior: lambda-returns, maximized by their gradient through the dynamics; *Dream to Control*, Eqs. 6 to 8.

        actor  -w_t R_t - entropy H(a_t),     value  w_t (v(s_t) - sg R_t)^2 / 2,     w_t = c_0 prod_{0 < i < t} gamma c_i

    The start of a rollout counts by its continuation alone, and the last step only bootstraps. The policy is a tanh-normal: mean
    `m tanh(. / m)`, std `softplus(. + raw) + minimum_std`, initially `initial_std`. Exploring adds `N(0, action_noise^2)`; otherwise the
    action is the likeliest of 100 samples, as in the paper's code. Choices have one-hot groups; exploring replaces them by uniform ones
    with probability `action_noise`, and otherwise the likeliest is taken. `return_scale = 'percentiles'`, which the paper does not have,
    divides the actor's returns by the range from their 5th to their 95th percentile in the batch, at least 1, so that one entropy scale
    fits rewards of any size (as in Dreamer V3, without its moving average).

    Gradients: the actor's loss reaches it through the actions alone, straight through the samples of choices; the value is trained on
    detached features and returns; the weights are detached.
    """

    needs_dynamics_gradient: bool = True

    def __init__(
        self,
        *,
        model: ModelSpecs,
        value: Factory[Value],
        layers: int = 4,
        units: int = 400,
        activation: Activation = "elu",
        discount: float = 0.99,
        return_lambda: float = 0.95,
        entropy: float = 0.0,
        initial_std: float = 5.0,
        mean_scale: float = 5.0,
        minimum_std: float = 1e-4,
        action_noise: float = 0.3,
        mode: Literal["best_sample", "mean"] = "best_sample",
        return_scale: Literal["none", "percentiles"] = "none",
    ) -> None:
        parametrization = TanhNormalParametrization(mean_scale=mean_scale, initial_std=initial_std, minimum_std=minimum_std)
        actor = PolicyNetwork(model=model, parametrization=parametrization, layers=layers, units=units, activation=activation)
        state_value = value(feature_size=model.latent.feature_size)
        super().__init__(model=model, actor=actor, value=state_value)
        self.discount, self.return_lambda, self.entropy = discount, return_lambda, entropy
        self.mode, self.return_scale, self.action_noise = mode, return_scale, action_noise

    @torch.no_grad()
    def act(self, latent: Latent, plan: Plan, imagine: Imagine, mode: Mode, generator: torch.Generator) -> tuple[Action, Plan]:
        policy, size = self.policy(latent.features), plan.shape[0]
        if mode == "explore":
            action = policy.sample(self.draw_noise(size, generator=generator))
            return exploration_noise(action, self.action, self.action_noise, generator), plan
        if self.mode == "mean" or self.action.kind != "continuous":
            return policy.mode, plan
        samples = policy.sample(self.draw_noise(SAMPLES, size, generator=generator))
        best = policy.log_density(samples).argmax(dim=0)
        return samples[best, torch.arange(size, device=best.device)], plan

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        features = imagination.features[:, 1:]
        discount = self.discount * imagination.continuation[:, 1:]
        bootstrap = self.value.bootstrap(features)
        returns = lambda_return(imagination.reward[:, 1:-1], discount[:, :-1], bootstrap[:, 1:], self.return_lambda)
        weight = (imagination.continuation[:, :1] * discount_weights(discount[:, :-1])).detach()
        policy = self.policy_of(imagination, 1, imagination.action.shape[1])
        # Estimated from the one sampled action of a tanh-normal, exact for choices.
        entropy = -policy.log_density(imagination.action[:, 1:]) if self.action.kind == "continuous" else policy.entropy
        scale = 1.0 if self.return_scale == "none" else percentile_range(returns.detach()).clamp(min=1.0)
        losses = {
            "actor": -weight * returns / scale - self.entropy * entropy,
            "value": weight * self.value.loss(features[:, :-1].detach(), returns.detach()),
        }
        metrics = {
            "behavior/return": returns.mean(),
            "behavior/value": bootstrap.mean(),
            "behavior/reward": imagination.reward.mean(),
            "behavior/entropy": entropy.mean(),
        }
        if isinstance(policy, TanhNormal):
            metrics |= {"behavior/policy_std": policy.std.mean(), "behavior/action_magnitude": imagination.action.abs().mean()}
        return losses, detached(metrics)
