"""Some negatives of the own sequence, and some of the others."""

from typing import ClassVar, final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.contrastive import how_many
from framework.functional.random import Key, fold_in, uniform
from framework.functional.ranking import drawn_of_each
from framework.negatives.base import Negatives


@final
@negatives.register
class WithinCrossMixture(Negatives):
    """Keeps `count` negatives: each comes from the own sequence with probability `share`, else from another, none of them twice.

    Biza et al. (2021), *The impact of negative sampling on contrastive structured world models*, with a share of 0.5. Where one of the
    two has too few, the other gives more. The positive's own sequence is drawn from more often than by chance, so that exchangeability
    is broken: not a strict lower bound.
    """

    is_lower_bound: ClassVar[bool] = False

    def __init__(self, *, share: float = 0.5, count: int = 64, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        if not 0 <= share <= 1:
            raise UserError(f"WithinCrossMixture.share = {share} is no probability; bind a number from 0 to 1.")
        if count < 1:
            raise UserError(f"WithinCrossMixture.count = {count} leaves no negative; bind at least 1.")
        self.share, self.count = share, count

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        anchors, given = contrast.scores.shape
        if self.count > given - 1:
            raise UserError(f"WithinCrossMixture.count = {self.count}, and there are {given - 1} negatives; bind from 1 to {given - 1}.")
        negative, same = contrast.negative, contrast.anchors.row[:, None] == contrast.candidates.row[None, :]
        own, other = negative & same, negative & ~same
        from_own = (uniform(fold_in(key, 2), anchors, self.count) < self.share).sum(dim=1)
        lacking = (self.count - from_own - how_many(other)).clamp(min=0)
        from_own = (from_own + lacking).minimum(how_many(own))[:, None]
        return contrast.keep(drawn_of_each(key, [(own, from_own), (other, self.count - from_own)], most=self.count))
