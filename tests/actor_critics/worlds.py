"""Worlds that are known: what a planner foresees there is computed, not learned."""

from collections.abc import Callable

import torch
from torch import Tensor

from framework.actor_critics.base import Choose
from framework.data import Imagination, InferredBatch, Latent

Pay = Callable[[Tensor, Tensor], Tensor]
"""The reward for an action at features."""


def belief(features: Tensor) -> Latent:
    """A latent that is all stochastic part."""
    return Latent(deterministic=features.new_zeros(features.shape[0], 0), stochastic=features, statistics={"mean": features})


def still(pay: Pay) -> Callable[..., Imagination]:
    """A world in which nothing moves, and an action is paid for where the latent lies."""

    def imagine(start: Latent, choose: Choose, noise: Tensor, generator: torch.Generator) -> Imagination:
        features = start.features
        actions = torch.stack([choose(features, each) for each in noise], dim=1)
        paid = torch.stack([pay(features, action) for action in actions.unbind(dim=1)], dim=1)
        return rollout(actions, features[:, None].expand(-1, len(noise) + 1, -1), paid, torch.ones_like(paid))

    return imagine


def adding(start: Latent, choose: Choose, noise: Tensor, generator: torch.Generator) -> Imagination:
    """A world in which actions add up in the features, and nothing is paid."""
    features, actions = [start.features], []
    for each in noise:
        actions.append(choose(features[-1], each))
        features.append(features[-1] + actions[-1])
    zeros = noise.new_zeros(noise.shape[1], len(noise))
    return rollout(torch.stack(actions, dim=1), torch.stack(features, dim=1), zeros, zeros + 1)


def rollout(actions: Tensor, features: Tensor, paid: Tensor, going_on: Tensor) -> Imagination:
    """What is paid for an action arrives with the next step; the start has a reward that none of its actions earned."""
    return Imagination(
        action=actions,
        features=features.contiguous(),
        reward=torch.cat([torch.full_like(paid[:, :1], 7.0), paid], dim=1),
        continuation=torch.cat([torch.zeros_like(paid[:, :1]), going_on], dim=1),
    )


def nothing_imagined(known: InferredBatch) -> Imagination:
    """Rollouts of no step, from every step of a batch."""
    features = known.features.flatten(end_dim=1)[:, None]
    ones = features.new_ones(len(features), 1)
    return Imagination(action=known.batch.action.flatten(end_dim=1)[:, None][:, :0], features=features, reward=ones, continuation=ones)
