"""Imagination: the policy acts inside the model, from latents that were really inferred."""

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
    """Roll the prior forward; the length of the noise is the horizon, and may be zero.

    Without a `continuation` head every episode goes on. Gradients: whatever the caller leaves attached; nothing is detached here.
    """
    latent, features, actions = start, [start.features], []
    for of_latent, of_action in zip(latent_noise, action_noise, strict=True):
        action = policy(features[-1], of_action)
        latent = dynamics.imagine_step(latent, action, of_latent)
        actions.append(action)
        features.append(latent.features)
    seen = torch.stack(features, dim=1)
    reward = heads["reward"](seen).mean
    going_on = heads["continuation"](seen).mean if "continuation" in heads else torch.ones_like(reward)
    taken = torch.stack(actions, dim=1) if actions else action_noise.transpose(0, 1)
    return Imagination(action=taken, features=seen, reward=reward, continuation=going_on)
