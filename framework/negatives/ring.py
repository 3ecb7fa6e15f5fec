"""Negatives neither too easy nor too hard."""

from typing import ClassVar, final

from framework import negatives
from framework.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.hashing import Seed
from framework.functional.ranking import ranks
from framework.negatives.base import Negatives


@final
@negatives.register
class Ring(Negatives):
    """Keeps the negatives of each anchor whose scores lie between two of their own percentiles; at least one.

    Wu et al. (2021), *Conditional negative sampling for contrastive learning of visual representations*: the easiest teach nothing, and
    the hardest are false. With `upper = 1` the hardest stay, and it is a lower bound as `TopK` is one; below that, what is left out is
    what would have lowered the estimate, so that it is labelled as none.

    Gradients: to the scores that are kept; which they are is decided without.
    """

    is_lower_bound: ClassVar[bool] = False

    def __init__(self, *, lower: float = 0.5, upper: float = 0.9, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        if not 0 <= lower < upper <= 1:
            raise UserError(f"Ring.lower = {lower} and Ring.upper = {upper} are no band; bind two numbers with 0 <= lower < upper <= 1.")
        self.lower, self.upper = lower, upper

    def choose(self, contrast: Contrast, seed: Seed) -> Contrast:
        negative = contrast.negative
        number = negative.sum(dim=1, keepdim=True).double()
        order = ranks(contrast.scores, negative)
        inside = (order >= (self.lower * number).floor()) & (order < (self.upper * number).ceil())
        return contrast.keep(negative & inside)
