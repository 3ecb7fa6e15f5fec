"""A few candidates, drawn anew for every anchor."""

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
class UniformSubset(Negatives):
    """Keeps the positive and `candidates - 1` others, drawn uniformly without replacement from those that are kept.

    Unbiased for the bound of that many candidates, for comparing strategies at the same `K`. A row that keeps fewer takes them all.
    """

    def __init__(self, *, candidates: int = 64, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        if candidates < 2:
            raise UserError(f"UniformSubset.candidates = {candidates} leaves no negative beside the positive; bind at least 2.")
        self.candidates = candidates

    def check(self, *, candidates: int, extra: int) -> None:
        self.check_count("candidates", self.candidates, least=2, available=candidates)

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        count = self.candidates - 1
        return contrast.keep(rank_mask(contrast.uniform(key), contrast.negative, last=count, most=count))
