"""The other steps of the same sequence."""

from typing import ClassVar, final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class WithinSequence(Negatives):
    """Keeps the candidates of the anchor's own sequence: `K = T`.

    What is constant in a sequence (a background) cannot tell them apart, so this estimates the information given the sequence.
    """

    is_lower_bound: ClassVar[bool] = True

    def __init__(self, *, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        return contrast.keep(contrast.anchors.row[:, None] == contrast.candidates.row[None, :])
