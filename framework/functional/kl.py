"""Kullback-Leibler divergences, and three conventions of free nats."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from framework.functional import ranks

FreeNats = Literal["mean", "excess", "step"]


def gaussian_kl(
    mean: Float[Tensor, "*B S"],
    std: Float[Tensor, "*B S"],
    other_mean: Float[Tensor, "*B S"],
    other_std: Float[Tensor, "*B S"],
) -> Float[Tensor, "*B"]:
    """`KL(N(mean, std^2) || N(other_mean, other_std^2))`, summed over the last axis, in nats."""
    ratio = (std.float() / other_std.float()).square()
    distance = ((mean.float() - other_mean.float()) / other_std.float()).square()
    return 0.5 * (ratio + distance - 1 - ratio.log()).sum(dim=-1)


def apply_free_nats(kl: Float[Tensor, "*B"], nats: float, convention: FreeNats) -> Float[Tensor, "*B"]:
    """The KL above the free nats. The conventions are not interchangeable:

    - `mean`: `max(mean KL, nats)`, on the mean over the batch of all ranks (Dreamer V1 and V2 as released in TF2);
    - `excess`: `max(0, KL - nats)` at each step (the PlaNet code base);
    - `step`: `max(KL, nats)` at each step (Dreamer V3).

    Gradients: none where the KL lies below the free nats.
    """
    free = torch.full_like(kl, nats)
    if convention == "mean":
        return torch.where(ranks.mean_of_all(kl.mean()) > nats, kl, free)
    if convention == "excess":
        return torch.clamp(kl - nats, min=0.0)
    return torch.maximum(kl, free)
