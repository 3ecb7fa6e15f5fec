"""The window of the released Dreamer code."""

from typing import final

import torch
from jaxtyping import Bool
from torch import Tensor

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.masking import between
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class RollingWindow(Negatives):
    """Keeps the copies of the batch rolled by `-rows/2 .. rows/2 - 1` sequences and `-times/2 .. times/2 - 1` steps, around the edges.

    The contrastive head of the code released with Dreamer V1: 10 x 30 shifts, 300 candidates of which 30 come from the own sequence,
    itself included. A window wider than the batch takes every row, or every step, once. What comes from outside the batch has no place
    in it, and is left out.
    """

    def __init__(self, *, rows: int = 10, times: int = 30, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        if rows < 1 or times < 1:
            raise UserError(f"RollingWindow.rows = {rows} and RollingWindow.times = {times} must both be at least 1.")
        self.rows, self.times = rows, times

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        anchors, candidates = contrast.anchors, contrast.candidates
        near_row = between(_near(self.rows, anchors.rows, anchors.row.device), anchors.row, candidates.row)
        near_time = between(_near(self.times, anchors.times, anchors.time.device), anchors.time, candidates.time)
        return contrast.keep(near_row & near_time & (candidates.row >= 0)[None, :])


def _near(window: int, size: int, device: torch.device) -> Bool[Tensor, "P P"]:
    """Which places lie in each other's window, around the edge; all do where it is wider than the batch."""
    place = torch.arange(size, device=device)
    return (place[:, None] - place[None, :] + window // 2) % size < min(window, size)
