"""Dreamer V1's behaviour: the value of imagined latents, differentiated through the dynamics."""

import math
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from framework import actor_critics
from framework.actor_critics.base import ActorCritic, Mode
from framework.blocks import MLP, Activation
from framework.data import ActionKind, Factory, Imagination, Losses, Metrics
from framework.functional.distributions import TanhNormal
from framework.functional.returns import lambda_return, percentile_range, survival
from framework.values.base import Value


@final
@actor_critics.register
class DynamicsBackprop(ActorCritic):
    """Maximise lambda-returns by their gradient through the learned dynamics; *Dream to Control*, Eqs. 6 to 8 and Algorithm 1.

        actor  -w_t R_t - entropy H(a_t),     value  w_t (v(s_t) - sg R_t)^2 / 2,     w_t = prod_{i<t} gamma c_i

    The start of a rollout is excluded, and the last step only bootstraps. The policy is a tanh-normal: mean `m tanh(. / m)`, std
    `softplus(. + raw) + minimum_std` that starts at `initial_std`. Acting adds `N(0, action_noise)`; at evaluation the paper's code
    takes the most likely of 100 samples. `return_scale = 'percentiles'`, which the paper does not have, divides the actor's returns by the
    range from their 5th to their 95th percentile in the batch, at least 1, so that one entropy scale fits every reward (Dreamer V3's
    idea, without its moving average).

    Gradients: the actor sees detached features, so its loss reaches it through the actions alone; the value is trained on detached
    features and returns; the weights are detached.
    """

    action_kinds: ClassVar[tuple[ActionKind, ...]] = ("continuous",)
    groups: ClassVar[tuple[str, ...]] = ("actor", "value")
    needs_dynamics_gradient: ClassVar[bool] = True

    def __init__(
        self,
        *,
        feature_size: int,
        action_size: int,
        value: Factory[Value],
        layers: int = 4,
        units: int = 400,
        activation: Activation = "elu",
        discount: float = 0.99,
        mixing: float = 0.95,
        entropy: float = 0.0,
        initial_std: float = 5.0,
        mean_scale: float = 5.0,
        minimum_std: float = 1e-4,
        action_noise: float = 0.3,
        mode: Literal["best_sample", "mean"] = "best_sample",
        return_scale: Literal["none", "percentiles"] = "none",
    ) -> None:
        super().__init__(feature_size=feature_size, action_size=action_size)
        self.actor = MLP(input_size=feature_size, output_size=2 * action_size, layers=layers, units=units, activation=activation)
        self.value: Value = value(feature_size=feature_size)
        self.action_size, self.mode, self.return_scale = action_size, mode, return_scale
        self.discount, self.mixing, self.entropy = discount, mixing, entropy
        self.mean_scale, self.minimum_std, self.action_noise = mean_scale, minimum_std, action_noise
        self.raw_std = math.log(math.expm1(initial_std))

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B A"]:
        return torch.randn(*leading, self.action_size, generator=generator, device=generator.device)

    def sample(self, features: Float[Tensor, "*B F"], noise: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
        return self.policy(features.detach()).sample(noise)

    def policy(self, features: Float[Tensor, "*B F"]) -> TanhNormal:
        """The distribution of actions."""
        mean, std = self.actor(features).float().chunk(2, dim=-1)
        return TanhNormal(
            mean=self.mean_scale * torch.tanh(mean / self.mean_scale),
            std=F.softplus(std + self.raw_std) + self.minimum_std,
        )

    @torch.no_grad()
    def act(self, features: Float[Tensor, "N F"], mode: Mode, generator: torch.Generator) -> Float[Tensor, "N A"]:
        policy = self.policy(features)
        size = features.shape[0]
        if mode == "explore":
            action = policy.sample(self.draw_noise(size, generator=generator))
            return (action + self.action_noise * self.draw_noise(size, generator=generator)).clamp(-1, 1)
        if self.mode == "mean":
            return torch.tanh(policy.mean)
        candidates = policy.sample(self.draw_noise(100, size, generator=generator))
        best = policy.log_density(candidates).argmax(dim=0)
        return candidates[best, torch.arange(size, device=best.device)]

    def losses(self, imagination: Imagination) -> tuple[Losses, Metrics]:
        features = imagination.features[:, 1:]
        discount = self.discount * imagination.continuation[:, 1:]
        bootstrap = self.value.bootstrap(features)
        returns = lambda_return(imagination.reward[:, 1:-1], discount[:, :-1], bootstrap[:, 1:], self.mixing)
        weight = survival(discount[:, :-1]).detach()
        policy = self.policy(features[:, :-1].detach())
        surprise = -policy.log_density(imagination.action[:, 1:])
        losses = {
            "actor": -weight * returns / self._scale(returns) - self.entropy * surprise,
            "value": weight * self.value.loss(features[:, :-1].detach(), returns.detach()),
        }
        metrics = {
            "behavior/return": returns.mean(),
            "behavior/value": bootstrap.mean(),
            "behavior/reward": imagination.reward.mean(),
            "behavior/entropy": surprise.mean(),
            "behavior/policy_std": policy.std.mean(),
            "behavior/action_magnitude": imagination.action.abs().mean(),
        }
        return losses, metrics

    def _scale(self, returns: Float[Tensor, "N H"]) -> Float[Tensor, ""] | float:
        return 1.0 if self.return_scale == "none" else percentile_range(returns.detach()).clamp(min=1.0)

    def group(self, name: str) -> list[nn.Parameter]:
        module = {"actor": self.actor, "value": self.value}[name]
        return [parameter for parameter in module.parameters() if parameter.requires_grad]

    def follow(self) -> None:
        self.value.follow()
