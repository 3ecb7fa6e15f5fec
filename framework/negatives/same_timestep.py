"""The same step of the other sequences."""

from typing import final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class SameTimestep(Negatives):
    """Keeps the candidates at the anchor's own place in the sequence: `K = B`.

    No false negatives from slow dynamics, and no shortcut by the time of the episode where rows are aligned in it; the ceiling is log B.
    """

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        return contrast.keep(contrast.anchors.time[:, None] == contrast.candidates.time[None, :])
