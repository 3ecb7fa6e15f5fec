"""The place of anchors and candidates in the batch."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Int
from torch import Tensor

from framework.data import Record


@dataclass(frozen=True, repr=False)
class Origin(Record):
    """Row and time in the batch and episode of each anchor or candidate, and the size of the batch."""

    row: Int[Tensor, " N"]
    time: Int[Tensor, " N"]
    episode: Int[Tensor, " N"]
    rows: int
    times: int

    @staticmethod
    def of(episode: Int[Tensor, "B T"]) -> "Origin":
        """The steps of one batch, in the order of `Latent.flatten`."""
        rows, times = episode.shape
        return Origin(
            row=torch.arange(rows, device=episode.device).repeat_interleave(times),
            time=torch.arange(times, device=episode.device).repeat(rows),
            episode=rearrange(episode, "b t -> (b t)"),
            rows=rows,
            times=times,
        )

    def map(self, function: Callable[[Tensor], Tensor]) -> "Origin":
        """Apply one function to every tensor."""
        return Origin(row=function(self.row), time=function(self.time), episode=function(self.episode), rows=self.rows, times=self.times)

    def followed_by(self, episode: Int[Tensor, " X"]) -> "Origin":
        """Append steps from outside the batch, of known episodes (-1 where unknown), without a row or a time (-1)."""
        nowhere = torch.full_like(episode, -1)
        return Origin(
            row=torch.cat([self.row, nowhere]),
            time=torch.cat([self.time, nowhere]),
            episode=torch.cat([self.episode, episode]),
            rows=self.rows,
            times=self.times,
        )
