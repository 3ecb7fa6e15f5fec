"""Every step but the neighbors in time."""

from typing import ClassVar, final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class WindowExcluded(Negatives):
    """Leaves out the steps of the own sequence less than `steps` before or after: `0 < |t - t'| < steps`.

    Slow dynamics gives nearly equal neighbors. `K_i` is larger at the ends. As in `CrossSequence`, exchangeability is broken: not a
    strict lower bound.
    """

    is_lower_bound: ClassVar[bool] = False

    def __init__(self, *, steps: int = 8, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        if steps < 1:
            raise UserError(f"WindowExcluded.steps = {steps} is no window: bind at least 1, which leaves out nothing, or more.")
        self.steps = steps

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        anchors, candidates = contrast.anchors, contrast.candidates
        far = (anchors.time[:, None] - candidates.time[None, :]).abs() >= self.steps
        return contrast.keep(far | (anchors.row[:, None] != candidates.row[None, :]))
