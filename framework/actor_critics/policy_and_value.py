"""What behaviors have in common that learn a policy and a value from imagination."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.actor_critics.base import ActorCritic, Foresee, Mode
from framework.actor_critics.policies import Policy
from framework.data import ActionKind, ActionSpec, Imagination, Latent, LatentSpec
from framework.functional.distributions import ActionDistribution
from framework.values.base import Value


class PolicyAndValue(ActorCritic):
    """A `Policy` that takes every kind of action, and a value; a subclass gives the losses.

    It explores by its own randomness alone, and takes the mode where it is to do its best.

    Gradients: the policy sees detached features.
    """

    action_kinds: tuple[ActionKind, ...] = ("continuous", "discrete", "multi_discrete")
    groups: tuple[str, ...] = ("actor", "value")

    @abstractmethod
    def __init__(self, *, latent: LatentSpec, action: ActionSpec, embedding_size: int, actor: Policy, value: Value) -> None:
        super().__init__(latent=latent, action=action, embedding_size=embedding_size)
        self.actor = actor
        self.value = value

    def policy(self, features: Float[Tensor, "*B F"]) -> ActionDistribution:
        """The distribution of actions."""
        found: ActionDistribution = self.actor(features.detach())
        return found

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        return self.actor.draw_noise(*leading, generator=generator)

    def sample(self, features: Float[Tensor, "*B F"], noise: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
        return self.policy(features).sample(noise)

    def sample_with_parameters(
        self, features: Float[Tensor, "N F"], noise: Float[Tensor, "N A"]
    ) -> tuple[Float[Tensor, "N A"], Float[Tensor, "N P"]]:
        numbers = self.actor.numbers(features.detach())
        return self.actor.distribution(numbers).sample(noise), numbers

    def policy_of(self, imagination: Imagination, first: int, last: int) -> ActionDistribution:
        """The policy at the steps `first .. last - 1` of rollouts: as it was kept, or computed again."""
        if imagination.policy is None:
            return self.policy(imagination.features[:, first:last])
        return self.actor.distribution(imagination.policy[:, first:last])

    @torch.no_grad()
    def act(
        self, latent: Latent, plan: Float[Tensor, "N I"], imagine: Foresee, mode: Mode, generator: torch.Generator
    ) -> tuple[Float[Tensor, "N A"], Float[Tensor, "N I"]]:
        policy = self.policy(latent.features)
        if mode == "mode":
            return policy.mode, plan
        return policy.sample(self.draw_noise(plan.shape[0], generator=generator)), plan

    def group(self, name: str) -> list[nn.Parameter]:
        module = {"actor": self.actor, "value": self.value}[name]
        return [parameter for parameter in module.parameters() if parameter.requires_grad]

    def after_update(self) -> None:
        self.value.after_update()
