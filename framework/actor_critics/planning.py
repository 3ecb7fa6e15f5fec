"""What planners share: many plans for each environment, rolled out in the model."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from framework.actor_critics.base import Choose, Foresee
from framework.data import Imagination, Latent

LARGEST: Final = 8192
"""How many rollouts at once: they are held in memory, at every step."""


def as_given(features: Tensor, given: Tensor) -> Tensor:
    """The choice of a plan, which is made already."""
    return given


def in_parts(latent: Latent, plan: Float[Tensor, "N I"], candidates: int) -> Iterator[tuple[Latent, Float[Tensor, "P I"]]]:
    """As many environments at a time as can be planned for at once, at least one."""
    count = max(1, LARGEST // candidates)
    for first in range(0, plan.shape[0], count):
        part = slice(first, first + count)
        yield latent.map(itemgetter(part)), plan[part]


def roll(latent: Latent, choose: Choose, noise: Float[Tensor, "H N M A"], imagine: Foresee, generator: torch.Generator) -> Imagination:
    """Several rollouts from each latent, of plans or of a policy; number `m` from latent `n` is row `n M + m`."""
    starts = latent.map(lambda tensor: tensor.repeat_interleave(noise.shape[2], dim=0))
    return imagine(starts, choose, rearrange(noise, "h n m a -> h (n m) a"), generator)
