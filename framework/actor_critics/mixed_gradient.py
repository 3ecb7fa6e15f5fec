"""Dreamer V2's behavior: the gradient through the dynamics, the score-function gradient, or some of each."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import actor_critics
from framework.actor_critics.policies import LAWS, Distribution, Policy
from framework.actor_critics.policy_and_value import PolicyAndValue
from framework.data import ActionSpec, Factory, Imagination, InferredBatch, LatentSpec, Losses, Metrics
from framework.errors import UserError
from framework.functional.distributions import ActionDistribution
from framework.functional.returns import discount_weights, lambda_return
from framework.nn.blocks import Activation, Norm
from framework.values.base import Value


@final
@actor_critics.register
class MixedGradient(PolicyAndValue):
    """Returns by their gradient through the dynamics, or by the likelihood of the actions that led to them; Hafner et al. (2021).

        R_t    r_t + gamma c_t ((1 - lambda) v_slow(s_{t+1}) + lambda R_{t+1}),      w_t = prod_{i < t} gamma c_i
        actor  -w_t ((1 - mix) R_{t+1} + mix log pi(a_t | s_t) sg(R_{t+1} - v_slow(s_t)) + entropy H(pi(s_t)))
        value  w_t (v(s_t) - sg R_t)^2 / 2

    *Mastering Atari with Discrete World Models*, Eqs. 4 to 6, with the indices of the code: an action is paid from the step that it
    leads to, the start counts, and the last action does not. `mix` is the paper's rho, the share of the likelihood: None is 0 for
    continuous actions and 1 for choices, as released. Returns and baseline come from `value.bootstrap`: V2 copies its value every 100
    updates. The code replaces the predicted continuation of the start by the replayed one, and its value's error has no 1/2.

    Gradients: the actor sees detached features, so that the returns reach it through the actions alone, straight through those that are
    choices; the value is trained on detached features and returns; advantages and weights are detached.
    """

    needs_dynamics_gradient: bool = True

    def __init__(
        self,
        *,
        latent: LatentSpec,
        action: ActionSpec,
        embedding_size: int,
        value: Factory[Value],
        layers: int = 4,
        units: int = 400,
        activation: Activation = "elu",
        norm: Norm = "none",
        distribution: Distribution = "truncated_normal",
        mix: float | None = None,
        discount: float = 0.99,
        return_lambda: float = 0.95,
        entropy: float = 1e-4,
    ) -> None:
        if mix is not None and not 0 <= mix <= 1:
            raise UserError(
                f"MixedGradient.mix = {mix} must lie between 0, through the dynamics alone, and 1, by likelihood alone, or be None."
            )
        actor = Policy(
            feature_size=latent.feature_size,
            action=action,
            law=LAWS[distribution],
            unimix=0.0,
            layers=layers,
            units=units,
            activation=activation,
            norm=norm,
        )
        held: Value = value(feature_size=latent.feature_size)
        super().__init__(latent=latent, action=action, embedding_size=embedding_size, actor=actor, value=held)
        self.mix = mix if mix is not None else float(action.kind != "continuous")
        self.needs_dynamics_gradient = self.mix < 1
        self.discount, self.return_lambda, self.entropy = discount, return_lambda, entropy

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        features, discount = imagination.features, self.discount * imagination.continuation
        expected = self.value.bootstrap(features)
        returns = lambda_return(imagination.reward[:, :-1], discount[:, :-1], expected[:, 1:], self.return_lambda)
        weight = discount_weights(discount[:, :-1]).detach()
        policy = self.policy_of(imagination, 0, imagination.action.shape[1] - 1)
        entropy = policy.entropy
        objective = self._objective(policy, imagination.action[:, :-1].detach(), returns[:, 1:], expected[:, :-2])
        losses = {
            "actor": -weight[:, :-1] * (objective + self.entropy * entropy),
            "value": weight * self.value.loss(features[:, :-1].detach(), returns.detach()),
        }
        metrics = {
            "behavior/return": returns.mean(),
            "behavior/value": expected.mean(),
            "behavior/reward": imagination.reward.mean(),
            "behavior/entropy": entropy.mean(),
        }
        return losses, metrics

    def _objective(self, policy: ActionDistribution, action: Tensor, returns: Tensor, baseline: Tensor) -> Float[Tensor, "N H"]:
        """What the actor raises; a share of nothing is not computed."""
        if self.mix == 0:
            return returns
        likely = policy.log_density(action) * (returns - baseline).detach()
        return likely if self.mix == 1 else (1 - self.mix) * returns + self.mix * likely
