"""The hardest negatives alone."""

from typing import final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.masking import rank_mask
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class TopK(Negatives):
    """Keeps the `count` negatives of each anchor that score highest.

    Each estimate is at most that of `UniformSubset` with `count + 1` candidates: a lower bound wherever that is one, and at most
    `log(count + 1)`. False negatives are chosen first.

    Gradients: to the scores that are kept, none through their choice.
    """

    def __init__(self, *, count: int = 64, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        if count < 1:
            raise UserError(f"TopK.count = {count} leaves no negative; bind at least 1.")
        self.count = count

    def check(self, *, candidates: int, extra: int) -> None:
        self.check_count("count", self.count, least=1, available=candidates - 1)

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        return contrast.keep(rank_mask(contrast.scores, contrast.negative, last=self.count, most=self.count))
