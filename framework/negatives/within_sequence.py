"""The other steps of the same sequence."""

from typing import final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class WithinSequence(Negatives):
    """Keeps the candidates of the anchor's own sequence: `K = T`.

    What is constant in a sequence (a background) cannot discriminate them, so this estimates the information given the sequence.
    """

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        return contrast.keep(contrast.anchors.row[:, None] == contrast.candidates.row[None, :])
