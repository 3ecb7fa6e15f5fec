"""A penalty on the partition function, around another bound."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import bounds
from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.contrastive import log_partition
from framework.specs import LatentSpec


@final
@bounds.register
class Penalized(Bound):
    """The loss of another bound plus `weight (log sum_j exp f(s_i, o_j))^2`; the estimate and its properties are that bound's.

    Eysenbach et al. (2022): 0.01. InfoNCE is invariant to a constant `c(s)` of each row; this fixes it, so that scores of different
    anchors are comparable.
    """

    def __init__(self, *, latent: LatentSpec, embedding_size: int, of: Factory[Bound], weight: float = 0.01) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        if weight < 0:
            raise UserError(f"Penalized.weight = {weight} must not be negative: it would push the scores apart; bind 0.01.")
        self.of: Bound = of(latent=latent, embedding_size=embedding_size)
        self.weight = weight
        self.side, self.capped, self.baseline = self.of.side, self.of.capped, self.of.baseline
        self.is_stateful, self.needs_source, self.joins_anchors = self.of.is_stateful, self.of.needs_source, self.of.joins_anchors

    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return self.of.estimate(contrast)

    def loss(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return self.of.loss(contrast) + self.weight * log_partition(contrast.scores, contrast.log_weights).square()

    def after_update(self, contrast: Contrast) -> None:
        self.of.after_update(contrast)
