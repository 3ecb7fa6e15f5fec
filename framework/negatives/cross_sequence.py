"""The steps of the other sequences."""

from typing import ClassVar, final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class CrossSequence(Negatives):
    """Leaves out the anchor's own sequence, except the positive: `K = (B - 1) T + 1`.

    No false negatives from slow dynamics. Leaving out the own sequence breaks exchangeability, so that with few sequences the
    estimate can exceed the mutual information a little: not a strict lower bound.
    """

    is_lower_bound: ClassVar[bool] = False

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        return contrast.keep(contrast.anchors.row[:, None] != contrast.candidates.row[None, :])
