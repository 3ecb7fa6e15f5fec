"""Negatives neither too easy nor too hard."""

import math
from typing import ClassVar, final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.masking import rank_mask
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class Ring(Negatives):
    """Keeps the negatives of each anchor whose scores lie between two of their own percentiles; at least one.

    Wu et al. (2021), *Conditional negative sampling for contrastive learning of visual representations*: the easiest carry no gradient,
    and the hardest are false. Leaving out the hardest raises the estimate: not a lower bound.

    Gradients: to the scores that are kept, none through their choice.
    """

    is_lower_bound: ClassVar[bool] = False

    def __init__(self, *, lower: float = 0.5, upper: float = 0.9, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        if not 0 <= lower < upper <= 1:
            raise UserError(f"Ring.lower = {lower} and Ring.upper = {upper} are no band; bind two numbers with 0 <= lower < upper <= 1.")
        self.lower, self.upper = lower, upper

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        negative = contrast.negative
        number = negative.sum(dim=1, keepdim=True)
        easier, harder = (self.lower * number.double()).floor().long(), (self.upper * number.double()).ceil().long()
        most = min(negative.shape[1], math.ceil((1 - self.lower) * negative.shape[1]) + 1)
        return contrast.keep(rank_mask(contrast.scores, negative, first=number - harder, last=number - easier, most=most))
