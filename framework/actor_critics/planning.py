"""Rollouts of many plans for each environment."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from framework.actor_critics.base import Choose, Imagine
from framework.data import Imagination, Latent

MAX_ROLLOUTS: Final = 8192
"""The number of rollouts at once, which bounds the memory of planning."""


def open_loop(features: Tensor, action: Tensor) -> Tensor:
    """The choice of a plan: the planned action, whatever the features."""
    return action


def chunks(latent: Latent, plan: Float[Tensor, "N I"], candidates: int) -> Iterator[tuple[Latent, Float[Tensor, "P I"]]]:
    """Environments in chunks of at most `MAX_ROLLOUTS` candidates, one environment at least."""
    size = max(1, MAX_ROLLOUTS // candidates)
    for first in range(0, plan.shape[0], size):
        rows = slice(first, first + size)
        yield latent.map(itemgetter(rows)), plan[rows]


def roll_out(latent: Latent, choose: Choose, noise: Float[Tensor, "H N M A"], imagine: Imagine, generator: torch.Generator) -> Imagination:
    """`M` rollouts from each latent, of plans or of a policy; rollout `m` from latent `n` is row `n M + m`."""
    starts = latent.map(lambda tensor: tensor.repeat_interleave(noise.shape[2], dim=0))
    return imagine(starts, choose, rearrange(noise, "h n m a -> h (n m) a"), generator)
