"""Random rollouts, and worlds of closed form for planners."""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from framework.actor_critics.base import Choose
from framework.data import Imagination, InferredBatch, Latent
from framework.specs import ActionKind
from framework.testing.samples import LATENT, ROWS, TIMES, actions, normal, seeded
from framework.values.base import Value

Reward = Callable[[Tensor, Tensor], Tensor]
"""The reward of an action at features."""


def random_rollout(starts: int, horizon: int, kind: ActionKind = "continuous") -> Imagination:
    return Imagination(
        action=actions(kind, starts, horizon, seed=1),
        features=normal(starts, horizon + 1, LATENT.feature_size, seed=2),
        reward=normal(starts, horizon + 1, seed=3),
        continuation=torch.rand(starts, horizon + 1, generator=seeded(4)),
    )


def temporal_difference_loss(value: Value, inferred: InferredBatch, next_value: Tensor, discount: float) -> Tensor:
    """The mean loss of `Q(s_{t-1}, a_t)` against `r_t + discount next_value_t`, over a loop of the steps that have one."""
    batch, losses = inferred.batch, []
    for b, t in product(range(ROWS), range(1, TIMES)):
        if not batch.is_first[b, t]:
            target = batch.reward[b, t] + (0.0 if batch.is_terminal[b, t] else discount * next_value[b, t])
            losses.append(value.loss(torch.cat([inferred.features[b, t - 1], batch.action[b, t]]), target))
    assert len(losses) == ROWS * (TIMES - 1) - 1
    return torch.stack(losses).mean()


def latent_at(features: Tensor) -> Latent:
    """A latent without deterministic part."""
    return Latent(deterministic=features.new_zeros(features.shape[0], 0), stochastic=features, statistics={"mean": features})


def still(reward: Reward) -> Callable[..., Imagination]:
    """A world in which nothing moves."""
    return moving(lambda features, action: (features, reward(features, action)))


def moving(step: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Callable[..., Imagination]:
    """A world in which `step` gives the next features and their reward."""

    def imagine(start: Latent, choose: Choose, noise: Tensor, generator: torch.Generator) -> Imagination:
        features, actions, rewards = [start.features], [], []
        for each in noise:
            actions.append(choose(features[-1], each))
            following, reward = step(features[-1], actions[-1])
            features.append(following)
            rewards.append(reward)
        reward = torch.stack(rewards, dim=1)
        return rollout(torch.stack(actions, dim=1), torch.stack(features, dim=1), reward, torch.ones_like(reward))

    return imagine


def rollout(actions: Tensor, features: Tensor, rewards: Tensor, continuation: Tensor) -> Imagination:
    """The reward of an action arrives with the next step; the start has a reward that none of its actions earned."""
    return Imagination(
        action=actions,
        features=features.contiguous(),
        reward=torch.cat([torch.full_like(rewards[:, :1], 7.0), rewards], dim=1),
        continuation=torch.cat([torch.zeros_like(rewards[:, :1]), continuation], dim=1),
    )


def nothing_imagined(inferred: InferredBatch) -> Imagination:
    """Rollouts of zero steps, from every step of a batch."""
    features = inferred.features.flatten(end_dim=1)[:, None]
    ones = features.new_ones(len(features), 1)
    return Imagination(action=inferred.batch.action.flatten(end_dim=1)[:, None][:, :0], features=features, reward=ones, continuation=ones)
