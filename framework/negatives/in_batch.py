"""Every step of the batch."""

from typing import final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class InBatch(Negatives):
    """Keeps all `K = B T` candidates: "the observations of the current sequence batch", as in the paper.

    Neighbors in time look alike, so that with slow dynamics many of them are false negatives.
    """

    def __init__(self) -> None:
        super().__init__(of=None)

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        return contrast
