"""A correction for negatives that are positives."""

from typing import ClassVar, Final, final

import torch
from jaxtyping import Float
from torch import Tensor

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.contrastive import log_partition
from framework.functional.masking import log_mask
from framework.functional.random import Key
from framework.negatives.base import Negatives

ROUNDING: Final = 1e-5
"""A relative distance below the floor that counts as on it: equal scores must not stop the gradient."""


@final
@negatives.register
class Debiased(Negatives):
    """Subtracts the contribution of false negatives from the denominator, where a candidate is another positive with probability `tau`.

        N_i = max( (sum_j exp f_ij - tau n_i exp f_ii) / (1 - tau),  n_i exp min_j f_ij ),    w_ij = N_i / sum_j exp f_ij

    over the `n_i` negatives. Chuang et al. (2020), *Debiased contrastive learning*; `tau = positive_share`, and 0 is InfoNCE. Their floor
    is the least value of a cosine over a temperature; here it is the least score of the row, for critics of any range. A `tau` above
    `exp(-I)`, at an estimate of I nats, puts nearly every row there. The subtracted term is an estimate: not a lower bound.

    Gradients: the floor is detached, so that a row at its floor gives its negatives none, as in the code released with the paper.
    """

    is_lower_bound: ClassVar[bool] = False

    def __init__(self, *, positive_share: float = 0.1, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        if not 0 <= positive_share < 1:
            raise UserError(f"Debiased.positive_share = {positive_share} must be at least 0, which is InfoNCE, and below 1.")
        self.positive_share = positive_share

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        negative = contrast.negative
        has_negatives = negative.any(dim=1)
        weights = (contrast.log_weights + log_mask(negative)).where(has_negatives[:, None], 0.0)
        scores = contrast.scores.where(negative, 0.0)
        total, number = log_partition(scores, weights), log_partition(torch.zeros_like(scores), weights)
        least = contrast.scores.detach().where(negative, torch.inf).amin(dim=1).where(has_negatives, 0.0)
        change = self._log_change(contrast.scores.diagonal() + number - total, least + number - total)
        return contrast.weigh(change[:, None].expand_as(scores).where(negative, 0.0))

    def _log_change(self, positive: Float[Tensor, " N"], floor: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        """`log N_i - log sum_j exp f_ij`, from the logarithms of `n_i exp f_ii` and of the floor over that sum."""
        share = self.positive_share
        left = (1 - share * positive.clamp(max=50.0).exp()) / (1 - share)
        above = left >= floor.exp() * (1 - ROUNDING)
        return left.where(above, 1.0).log().where(above, floor)
