"""The window of the released Dreamer code."""

from typing import final

from jaxtyping import Bool, Int
from torch import Tensor

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class RollingWindow(Negatives):
    """Keeps the copies of the batch rolled by `-rows/2 .. rows/2 - 1` sequences and `-times/2 .. times/2 - 1` steps, around the edges.

    The contrastive head of the code released with Dreamer V1: 10 x 30 shifts, 300 candidates of which 30 come from the own sequence. A
    window wider than the batch takes every row, or every step, once. Candidates from outside the batch are left out.
    """

    def __init__(self, *, rows: int = 10, times: int = 30, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        if rows < 1 or times < 1:
            raise UserError(f"RollingWindow.rows = {rows} and RollingWindow.times = {times} must both be at least 1.")
        self.rows, self.times = rows, times

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        anchors, candidates = contrast.anchors, contrast.candidates
        near_row = _near(anchors.row, candidates.row, self.rows, anchors.rows)
        near_time = _near(anchors.time, candidates.time, self.times, anchors.times)
        return contrast.keep(near_row & near_time & (candidates.row >= 0)[None, :])


def _near(anchors: Int[Tensor, " N"], candidates: Int[Tensor, " M"], window: int, size: int) -> Bool[Tensor, "N M"]:
    """Which places lie within the window of the anchor's place, around the edge of so many; all where it is wider than that."""
    return (anchors[:, None] - candidates[None, :] + window // 2) % size < min(window, size)
