"""Where anchors and candidates come from."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class Origin:
    """Where each anchor or candidate of a contrast comes from: which row and time of the batch, which episode, which rank."""

    row: Int[Tensor, " N"]
    time: Int[Tensor, " N"]
    episode: Int[Tensor, " N"]
    rank: Int[Tensor, " N"]
    rows: int
    times: int

    @staticmethod
    def of(episode: Int[Tensor, "B T"], rank: int = 0) -> "Origin":
        """Number the steps of one batch, in the order in which `Latent.flatten` lays them out."""
        rows, times = episode.shape
        device = episode.device
        return Origin(
            row=torch.arange(rows, device=device).repeat_interleave(times),
            time=torch.arange(times, device=device).repeat(rows),
            episode=rearrange(episode, "b t -> (b t)"),
            rank=torch.full((rows * times,), rank, device=device),
            rows=rows,
            times=times,
        )

    def map(self, function: Callable[[Tensor], Tensor]) -> "Origin":
        """Apply one function to what is known of each step; the batch stays as large as it is."""
        return Origin(
            row=function(self.row),
            time=function(self.time),
            episode=function(self.episode),
            rank=function(self.rank),
            rows=self.rows,
            times=self.times,
        )

    def followed_by(self, episode: Int[Tensor, " X"]) -> "Origin":
        """Append steps from outside the batch: of known episodes (-1 where unknown), without a row or a time (-1)."""
        nowhere = torch.full_like(episode, -1)
        return Origin(
            row=torch.cat([self.row, nowhere]),
            time=torch.cat([self.time, nowhere]),
            episode=torch.cat([self.episode, episode]),
            rank=torch.cat([self.rank, torch.zeros_like(episode)]),
            rows=self.rows,
            times=self.times,
        )
