"""Some negatives of the own sequence, and some of the others."""

from typing import ClassVar, final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.masking import rank_mask
from framework.functional.random import Key, fold_in
from framework.negatives.base import Negatives


@final
@negatives.register
class WithinCrossMixture(Negatives):
    """Keeps `count` negatives: each from the own sequence with probability `share`, else from another, without replacement.

    Biza et al. (2021), *The impact of negative sampling on contrastive structured world models*, with a share of 0.5. Where one of the
    two has too few, the other gives more. Drawing the own sequence more often than by chance breaks exchangeability: not a strict lower
    bound.
    """

    is_lower_bound: ClassVar[bool] = False

    def __init__(self, *, share: float = 0.5, count: int = 64, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        if not 0 <= share <= 1:
            raise UserError(f"WithinCrossMixture.share = {share} is no probability; bind a number from 0 to 1.")
        if count < 1:
            raise UserError(f"WithinCrossMixture.count = {count} leaves no negative; bind at least 1.")
        self.share, self.count = share, count

    def check(self, *, candidates: int, extra: int) -> None:
        self.check_count("count", self.count, least=1, available=candidates - 1)

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        negative, same = contrast.negative, contrast.anchors.row[:, None] == contrast.candidates.row[None, :]
        own, other = negative & same, negative & ~same
        from_own = (contrast.uniform_of_anchors(fold_in(key, 2), self.count) < self.share).sum(dim=1, keepdim=True)
        lacking = (self.count - from_own - other.sum(dim=1, keepdim=True)).clamp(min=0)
        from_own = (from_own + lacking).minimum(own.sum(dim=1, keepdim=True))
        order = contrast.uniform(key)
        kept_own = rank_mask(order, own, last=from_own, most=self.count)
        return contrast.keep(kept_own | rank_mask(order, other, last=self.count - from_own, most=self.count))
