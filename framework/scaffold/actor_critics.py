"""An actor-critic of your own: the gradient of imagined lambda-returns through the dynamics."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import actor_critics
from framework.actor_critics.policy_and_value import PolicyAndValue
from framework.actor_critics.policy_network import PolicyNetwork, TanhNormalParametrization
from framework.data import Factory, Imagination, InferredBatch, Losses, Metrics
from framework.errors import UserError
from framework.functional.returns import lambda_return
from framework.specs import ModelSpecs
from framework.values.base import Value


@final
@actor_critics.register
class MyComponent(PolicyAndValue):
    """A policy that maximizes lambda-returns, and their value.

        actor  -c_0 R_t,     value  c_0 loss(v(s_t), sg R_t),     with the predicted continuation c_0 of the start

    Derive from `actor_critics.ActorCritic` for a behavior without these two, such as a planner.

    Gradients: the actor's loss reaches it through the actions alone, the value is trained on detached features and returns.
    """

    needs_dynamics_gradient: bool = True

    def __init__(
        self,
        *,
        model: ModelSpecs,
        value: Factory[Value],
        layers: int = 2,
        units: int = 128,
        discount: float = 0.97,
        return_lambda: float = 0.95,
    ) -> None:
        if not 0 <= discount <= 1:
            raise UserError(f"MyComponent.discount = {discount} must be between 0 and 1.")
        parametrization = TanhNormalParametrization(mean_scale=5.0, initial_std=1.0, minimum_std=0.1)
        actor = PolicyNetwork(model=model, parametrization=parametrization, layers=layers, units=units, activation="elu")
        super().__init__(model=model, actor=actor, value=value(feature_size=model.latent.feature_size))
        self.discount, self.return_lambda = discount, return_lambda

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        features, discount = imagination.features[:, 1:], self.discount * imagination.continuation[:, 1:]
        bootstrap = self.value.bootstrap(features)
        returns = lambda_return(imagination.reward[:, 1:-1], discount[:, :-1], bootstrap[:, 1:], self.return_lambda)
        start = imagination.continuation[:, :1].detach()
        losses = {"actor": -start * returns, "value": start * self.value.loss(features[:, :-1].detach(), returns.detach())}
        return losses, {"behavior/return": returns.detach().mean(), "behavior/reward": imagination.reward.detach().mean()}
