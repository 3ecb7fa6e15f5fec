"""Behaviors that learn a policy and a value of actions from replayed latents."""

import torch
from jaxtyping import Float
from torch import Tensor

from framework.actor_critics.policy_and_value import PolicyAndValue
from framework.data import ActionKind, InferredBatch
from framework.functional.distributions import TanhNormal
from framework.functional.masking import masked


class ActionValueBehavior(PolicyAndValue):
    """A tanh-normal policy and a value of actions `Q(s, a)`, which is a `Value` of `[s, a]`; nothing is imagined."""

    action_kinds: tuple[ActionKind, ...] = ("continuous",)
    needs_dynamics_gradient: bool = False
    imagines: bool = False
    discount: float

    def policy(self, features: Float[Tensor, "*B F"]) -> TanhNormal:
        distribution = super().policy(features)
        assert isinstance(distribution, TanhNormal)
        return distribution

    def value_loss(self, inferred: InferredBatch, next_value: Float[Tensor, "B T"]) -> Float[Tensor, "B U"]:
        """The loss of `Q(s_{t-1}, a_t)` against `r_t + discount (1 - terminal_t) next_value_t`, at every step but the first of a row.

        Row `t` holds the action that led to it and its reward. The loss is 0 where `t` is the first step of an episode.

        Gradients: to the value alone; the features and `next_value` are detached.
        """
        batch = inferred.batch
        continuation = 1 - batch.is_terminal[:, 1:].float()
        target = batch.reward[:, 1:] + self.discount * continuation * next_value[:, 1:]
        inputs = joined(inferred.features[:, :-1].detach(), batch.action[:, 1:])
        return masked(self.value.loss(inputs, target.detach()), ~batch.is_first[:, 1:])


def joined(features: Float[Tensor, "*B F"], action: Float[Tensor, "*B A"]) -> Float[Tensor, "*B G"]:
    """The input `[s, a]` of a value of actions."""
    return torch.cat([features, action], dim=-1)
