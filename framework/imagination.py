"""Imagination: rollouts of a policy in the model."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from framework.data import Imagination, Latent
from framework.dynamics.base import Dynamics
from framework.heads.base import Head


def imagine(
    *,
    dynamics: Dynamics,
    heads: Mapping[str, Head],
    policy: Callable[[Tensor, Tensor], Tensor],
    start: Latent,
    latent_noise: Float[Tensor, "H N Z"],
    action_noise: Float[Tensor, "H N A"],
) -> Imagination:
    """Roll the prior forward from `start`; the length of the noise is the horizon, and may be zero.

    Without a head `continuation` the continuation is 1. Gradients: nothing is detached.
    """
    latent, features, actions = start, [start.features], []
    for step_noise, step_action_noise in zip(latent_noise, action_noise, strict=True):
        action = policy(features[-1], step_action_noise)
        latent = dynamics.imagine_step(latent, action, step_noise)
        actions.append(action)
        features.append(latent.features)
    rollout = torch.stack(features, dim=1)
    reward = heads["reward"](rollout).mean
    return Imagination(
        action=torch.stack(actions, dim=1) if actions else action_noise.transpose(0, 1),
        features=rollout,
        reward=reward,
        continuation=heads["continuation"](rollout).mean if "continuation" in heads else torch.ones_like(reward),
    )
