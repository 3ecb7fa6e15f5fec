"""Dreamer V2's behavior."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import actor_critics
from framework.actor_critics.policy_and_value import PolicyAndValue
from framework.actor_critics.policy_network import Distribution, PolicyNetwork, parametrization_of
from framework.data import Factory, Imagination, InferredBatch, Losses, Metrics, detached
from framework.errors import UserError
from framework.functional.distributions import ActionDistribution
from framework.functional.returns import discount_weights, lambda_return
from framework.nn.blocks import Activation, Norm
from framework.specs import ModelSpecs
from framework.values.base import Value


@final
@actor_critics.register
class MixedGradient(PolicyAndValue):
    """Dreamer V2's behavior: a mixture of the gradient through the dynamics and the score-function gradient; Hafner et al. (2021).

        R_t    r_t + gamma c_t ((1 - lambda) v_slow(s_{t+1}) + lambda R_{t+1}),      w_t = prod_{i < t} gamma c_i
        actor  -w_t ((1 - mix) R_{t+1} + mix log pi(a_t | s_t) sg(R_{t+1} - v_slow(s_t)) + entropy H(pi(s_t)))
        value  w_t (v(s_t) - sg R_t)^2 / 2

    *Mastering Atari with Discrete World Models*, Eqs. 4 to 6, with the indices of the code: an action is rewarded from the step that it
    leads to, the start counts with a weight of 1, and the last action does not. `mix` is the paper's rho: None is 0 for continuous actions
    and 1 for choices, as released. Returns and baseline come from `value.bootstrap`: V2 copies its value every 100 updates, and its unit
    Gaussian is the 1/2 of the value's loss. The released code replaces the predicted continuation of the start by the replayed one.
    `distribution` and `minimum_std` are those of continuous actions.

    Gradients: the actor sees detached features, so that returns reach it through the actions alone, straight through those that are
    choices; the value is trained on detached features and returns; advantages and weights are detached.
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
        norm: Norm = "none",
        distribution: Distribution = "truncated_normal",
        minimum_std: float = 0.1,
        mix: float | None = None,
        discount: float = 0.99,
        return_lambda: float = 0.95,
        entropy: float = 1e-4,
    ) -> None:
        if mix is not None and not 0 <= mix <= 1:
            raise UserError(f"MixedGradient.mix = {mix} must lie between 0 (through the dynamics) and 1 (score function), or be None.")
        parametrization = parametrization_of(distribution, minimum_std=minimum_std, owner="MixedGradient")
        actor = PolicyNetwork(model=model, parametrization=parametrization, layers=layers, units=units, activation=activation, norm=norm)
        state_value = value(feature_size=model.latent.feature_size)
        super().__init__(model=model, actor=actor, value=state_value)
        self.discount, self.return_lambda, self.entropy = discount, return_lambda, entropy
        self.mix = mix if mix is not None else float(self.action.kind != "continuous")
        self.needs_dynamics_gradient = self.mix < 1

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        features, discount = imagination.features, self.discount * imagination.continuation
        value = self.value.bootstrap(features)
        returns = lambda_return(imagination.reward[:, :-1], discount[:, :-1], value[:, 1:], self.return_lambda)
        weight = discount_weights(discount[:, :-1]).detach()
        policy = self.policy_of(imagination, 0, imagination.action.shape[1] - 1)
        entropy = policy.entropy
        objective = self._objective(policy, imagination.action[:, :-1].detach(), returns[:, 1:], value[:, :-2])
        losses = {
            "actor": -weight[:, :-1] * (objective + self.entropy * entropy),
            "value": weight * self.value.loss(features[:, :-1].detach(), returns.detach()),
        }
        metrics = {
            "behavior/return": returns.mean(),
            "behavior/value": value.mean(),
            "behavior/reward": imagination.reward.mean(),
            "behavior/entropy": entropy.mean(),
        }
        return losses, detached(metrics)

    def _objective(self, policy: ActionDistribution, action: Tensor, returns: Tensor, baseline: Tensor) -> Float[Tensor, "N H"]:
        """What the actor maximizes besides its entropy; a term of weight 0 is not computed."""
        if self.mix == 0:
            return returns
        score = policy.log_density(action) * (returns - baseline).detach()
        return score if self.mix == 1 else (1 - self.mix) * returns + self.mix * score
