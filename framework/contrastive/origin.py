"""The place of anchors and candidates in the batch."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from jaxtyping import Int
from torch import Tensor

from framework.data import Record
from framework.functional import ranks


@dataclass(frozen=True, repr=False)
class Origin(Record):
    """Row and time in the batch and episode of each anchor or candidate, and the size of the batch.

    Rows are numbered over the batches of all ranks, so that two steps have one row only if they are of one sequence. `rows` is the number
    of sequences among the candidates: of this rank, or of all (`of_all_ranks`).
    """

    row: Int[Tensor, " N"]
    """The sequence; -1 for steps from outside the batch."""
    time: Int[Tensor, " N"]
    """The step of the sequence; -1 likewise."""
    episode: Int[Tensor, " N"]
    """The number of the episode; -1 where it is unknown."""
    rows: int
    times: int
    """The steps of a sequence."""

    @staticmethod
    def of(episode: Int[Tensor, "B T"]) -> "Origin":
        """The steps of one batch, in the order of `Latent.flatten`."""
        rows, times = episode.shape
        first = ranks.rank() * rows
        return Origin(
            row=torch.arange(first, first + rows, device=episode.device).repeat_interleave(times),
            time=torch.arange(times, device=episode.device).repeat(rows),
            episode=rearrange(episode, "b t -> (b t)"),
            rows=rows,
            times=times,
        )

    @property
    def place(self) -> Int[Tensor, " N"]:
        """The number of each step in the batches of all ranks; steps from outside have that of their column."""
        column = torch.arange(self.row.shape[0], device=self.row.device)
        return torch.where(self.row < 0, column, self.row * self.times + self.time)

    def of_all_ranks(self, gather: Callable[[Tensor], Tensor] = ranks.gather_own_first) -> "Origin":
        """The steps of the batches of all ranks, by default this one's first."""
        return replace(self.map(gather), rows=self.rows * ranks.size())

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
