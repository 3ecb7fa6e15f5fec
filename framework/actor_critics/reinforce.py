"""Dreamer V3's behavior."""

from typing import Final, final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework import actor_critics
from framework.actor_critics.policy_and_value import PolicyAndValue
from framework.actor_critics.policy_network import Distribution, PolicyNetwork, parametrization_of
from framework.data import Factory, Imagination, InferredBatch, Losses, Metrics, detached
from framework.errors import UserError
from framework.functional.returns import discount_weights, lambda_return, percentile_range
from framework.nn.blocks import Activation, Norm
from framework.specs import ModelSpecs
from framework.values.base import Value

RATE: Final = 0.01


@final
class ReturnScale(nn.Module):
    """A moving average of the range from the 5th to the 95th percentile of the returns, at least 1, by which advantages are divided.

        range <- 0.99 range + 0.01 (P95 - P5),    scale  max(1, range),    from a range of 0, the present batch included

    `forward` has no lasting effect; `after_update` takes the range of the latest batch over.
    """

    range: Tensor
    next_range: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("range", torch.zeros(()))
        self.register_buffer("next_range", torch.zeros(()))

    @torch.no_grad()
    def forward(self, returns: Float[Tensor, "..."]) -> Float[Tensor, ""]:
        """The scale on a batch with these returns."""
        updated = self.range.lerp(percentile_range(returns), RATE)
        self.next_range.copy_(updated)
        return updated.clamp(min=1.0)

    @torch.no_grad()
    def after_update(self) -> None:
        self.range.copy_(self.next_range)


@final
@actor_critics.register
class Reinforce(PolicyAndValue):
    """Dreamer V3's behavior: the score-function gradient with normalized returns; Hafner et al. (2025), *Mastering diverse control tasks*.

        actor  -w_t (log pi(a_t | s_t) sg(R_t - v(s_t)) / max(1, S) + entropy H(pi)),       w_t = c_0 prod_{0 < i <= t} gamma c_i
        value  w_t loss(v(s_t), R_t),     and `replay_value` times the mean of loss(v(s_t), Q_t) over replayed steps
        Q_t    r_{t+1} + gamma (1 - terminal_{t+1}) ((1 - lambda) R_0(s_{t+1}) + lambda Q_{t+1})

    `S` is a moving average of the range from the 5th to the 95th percentile of the imagined returns, the present ones included. `Q`
    mixes replayed rewards with the return imagined from each replayed step, which alone bootstraps at the last step of an episode; that
    step has no loss of its own. Rollouts must start from every replayed step (`Agent.imagination_starts = None`), or `replay_value` be 0.
    `distribution` and `minimum_std` are those of continuous actions, `unimix` is the uniform share of choices; the paper's value is a
    `TwoHotValue`. Evaluation takes the mode, where the released code samples.

    Gradients: the actor by its own log-density and entropy alone; the value on detached features and targets, except that its loss on
    replayed steps also trains the world model. Returns, advantages, scales and weights are detached.
    """

    shapes_model: tuple[str, ...] = ("value",)
    needs_dynamics_gradient: bool = False

    def __init__(
        self,
        *,
        model: ModelSpecs,
        value: Factory[Value],
        layers: int = 3,
        units: int = 256,
        activation: Activation = "silu",
        norm: Norm = "rms",
        distribution: Distribution = "bounded_normal",
        minimum_std: float = 0.1,
        unimix: float = 0.01,
        discount: float = 0.996997,
        return_lambda: float = 0.95,
        entropy: float = 3e-4,
        replay_value: float = 0.3,
    ) -> None:
        if replay_value < 0:
            raise UserError(f"Reinforce.replay_value = {replay_value} must be at least 0; 0.3 is usual, 0.0 leaves replayed steps out.")
        actor = PolicyNetwork(
            model=model,
            parametrization=parametrization_of(distribution, minimum_std=minimum_std, owner="Reinforce"),
            unimix=unimix,
            layers=layers,
            units=units,
            activation=activation,
            norm=norm,
            initial_weights="truncated_normal",
            output_scale=0.01,
        )
        state_value = value(feature_size=model.latent.feature_size)
        super().__init__(model=model, actor=actor, value=state_value)
        self.discount, self.return_lambda, self.entropy = discount, return_lambda, entropy
        self.scale = ReturnScale()
        self.replay_value = replay_value
        self.shapes_model = ("value",) if replay_value > 0 else ()

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        features, continuation = imagination.features.detach(), imagination.continuation.detach()
        # Contiguous, since three networks read it: a product over the view would go rollout by rollout.
        before = features[:, :-1].contiguous()
        discount = self.discount * continuation[:, 1:]
        value, value_loss = self.value.value_and_loss(before)
        with torch.no_grad():
            values = torch.cat([value, self.value.bootstrap(features[:, -1:])], dim=1)
            returns = lambda_return(imagination.reward[:, 1:], discount, values[:, 1:], self.return_lambda)
        weight, scale = continuation[:, :1] * discount_weights(discount), self.scale(returns)
        advantage = (returns - value) / scale
        policy = self.policy(before)
        log_density, entropy = policy.log_density(imagination.action.detach()), policy.entropy
        whole_value_loss, replay_metrics = self._with_replayed(weight * value_loss(returns), returns, inferred)
        losses = {"actor": -weight * (log_density * advantage + self.entropy * entropy), "value": whole_value_loss}
        metrics = {
            "behavior/return": returns.mean(),
            "behavior/return_scale": scale,
            "behavior/advantage": advantage.abs().mean(),
            "behavior/value": values.mean(),
            "behavior/reward": imagination.reward.mean(),
            "behavior/entropy": entropy.mean(),
        }
        return losses, detached(metrics | replay_metrics)

    def check(self, *, rollouts: int, steps: int) -> None:
        if self.replay_value and rollouts != steps:
            raise UserError(
                f"Reinforce.replay_value = {self.replay_value} needs a rollout from each of the {steps} replayed steps, and there are "
                f"{rollouts}; bind Agent.imagination_starts = None, or Reinforce.replay_value = 0.0."
            )

    def _with_replayed(self, imagined: Tensor, returns: Float[Tensor, "N H"], inferred: InferredBatch) -> tuple[Tensor, Metrics]:
        """The value's loss on imagined steps, with that on replayed steps added."""
        if self.replay_value == 0:
            return imagined, {}
        self.check(rollouts=returns.shape[0], steps=inferred.batch.reward.numel())
        targets = self._replayed_returns(rearrange(returns[:, 0], "(b t) -> b t", t=inferred.batch.reward.shape[1]), inferred)
        loss = ~inferred.batch.is_first[:, 1:] * self.value.loss(inferred.features[:, :-1], targets)
        return imagined.mean() + self.replay_value * loss.mean(), {"behavior/replayed_return": targets.mean()}

    @torch.no_grad()
    def _replayed_returns(self, imagined: Float[Tensor, "B T"], inferred: InferredBatch) -> Float[Tensor, "B T-1"]:
        """Lambda-returns of replayed rewards, bootstrapped from the returns imagined at each step."""
        batch = inferred.batch
        last = torch.cat([batch.is_first[:, 2:], torch.ones_like(batch.is_first[:, :1])], dim=1)
        discount = self.discount * ~batch.is_terminal[:, 1:]
        return lambda_return(batch.reward[:, 1:], discount, imagined[:, 1:], self.return_lambda * ~last)

    def after_update(self) -> None:
        super().after_update()
        self.scale.after_update()
