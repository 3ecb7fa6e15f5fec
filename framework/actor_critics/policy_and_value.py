"""Behaviors that learn a policy and a value."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from framework.actor_critics.base import Action, ActorCritic, Imagine, Mode, Plan
from framework.actor_critics.policy_network import PolicyNetwork
from framework.data import ActionKind, ActionSpec, Imagination, Latent, LatentSpec
from framework.functional.distributions import ActionDistribution
from framework.values.base import Value


class PolicyAndValue(ActorCritic):
    """A policy over actions of any kind, and a value; a subclass gives the losses. Exploring samples the policy, else its mode is taken.

    Gradients: the features that the policy sees are detached.
    """

    action_kinds: tuple[ActionKind, ...] = ("continuous", "discrete", "multi_discrete")
    groups: tuple[str, ...] = ("actor", "value")

    @abstractmethod
    def __init__(self, *, latent: LatentSpec, action: ActionSpec, embedding_size: int, actor: PolicyNetwork, value: Value) -> None:
        super().__init__(latent=latent, action=action, embedding_size=embedding_size)
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
