"""Behaviors that learn a policy and a value: of latents, or of actions."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from framework.actor_critics.base import Action, ActorCritic, Imagine, Mode, Plan
from framework.actor_critics.policy_network import PolicyNetwork
from framework.data import Imagination, InferredBatch, Latent
from framework.functional.distributions import ActionDistribution, TanhNormal
from framework.functional.masking import masked
from framework.specs import ActionKind, ModelSpecs
from framework.values.base import Value


class PolicyAndValue(ActorCritic):
    """A policy over actions of any kind, and a value; a subclass gives the losses. Exploring samples the policy, else its mode is taken.

    Gradients: the features that the policy sees are detached.
    """

    action_kinds: tuple[ActionKind, ...] = ("continuous", "discrete", "multi_discrete")
    groups: tuple[str, ...] = ("actor", "value")

    @abstractmethod
    def __init__(self, *, model: ModelSpecs, actor: PolicyNetwork, value: Value) -> None:
        super().__init__(model=model)
        self.actor, self.value = actor, value

    def policy(self, features: Float[Tensor, "*B F"]) -> ActionDistribution:
        """The distribution of actions."""
        return self.actor.distribution(self.actor(features.detach()))

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        return self.actor.draw_noise(*leading, generator=generator)

    def sample(self, features: Float[Tensor, "*B F"], noise: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
        return self.policy(features).sample(noise)

    def sample_with_parameters(self, features: Float[Tensor, "N F"], noise: Action) -> tuple[Action, Float[Tensor, "N P"]]:
        parameters = self.actor(features.detach())
        return self.actor.distribution(parameters).sample(noise), parameters

    def policy_of(self, imagination: Imagination, first: int, last: int) -> ActionDistribution:
        """The policy at the steps `first .. last - 1` of rollouts, from the parameters that imagination kept, if it kept them."""
        if imagination.policy is None:
            return self.policy(imagination.features[:, first:last])
        return self.actor.distribution(imagination.policy[:, first:last])

    @torch.no_grad()
    def act(self, latent: Latent, plan: Plan, imagine: Imagine, mode: Mode, generator: torch.Generator) -> tuple[Action, Plan]:
        policy = self.policy(latent.features)
        return (policy.mode if mode == "mode" else policy.sample(self.draw_noise(plan.shape[0], generator=generator))), plan

    def after_update(self) -> None:
        self.value.after_update()


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
