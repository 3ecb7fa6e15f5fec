"""A negative-sampling strategy of your own: the steps of other sequences at about the same time."""

from typing import ClassVar, final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.random import Key


@final
@negatives.register
class NearestInTime(negatives.Negatives):
    """Keeps the steps of the other sequences that lie within `steps` of the anchor's own place: `K = (B - 1)(2 steps + 1) + 1` inside.

    Between `SameTimestep` (0), whose ceiling is only log B, and `CrossSequence` (any time), where the time of the episode alone
    discriminates candidates. As there, leaving out the own sequence breaks exchangeability: not a strict lower bound.
    """

    is_lower_bound: ClassVar[bool] = False

    def __init__(self, *, steps: int = 4, of: Factory[negatives.Negatives] | None = None) -> None:
        super().__init__(of=of)
        if steps < 0:
            raise UserError(f"NearestInTime.steps = {steps} must not be negative; 0 keeps the anchor's own time step alone.")
        self.steps = steps

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        anchors, candidates = contrast.anchors, contrast.candidates
        near = (anchors.time[:, None] - candidates.time[None, :]).abs() <= self.steps
        other = (candidates.row >= 0) & (anchors.row[:, None] != candidates.row[None, :])
        return contrast.keep(near & other)
