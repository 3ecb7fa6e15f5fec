"""Larger weights for harder negatives."""

from typing import final

import torch

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.contrastive import log_partition
from framework.functional.masking import log_mask
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class HardWeighted(Negatives):
    """Weighs the negatives of each anchor by `w_ij = exp(beta f_ij) / mean_j exp(beta f_ij)`.

    Robinson et al. (2021), *Contrastive learning with hard negative samples*, with `Debiased` around it; `beta = 0` is InfoNCE. As the
    weights grow with the scores, `sum_j w_ij exp f_ij >= sum_j exp f_ij` (Chebyshev): each estimate is at most InfoNCE's.

    Gradients: through the weights too, as in the code released with the paper, so that the easiest negatives are pushed up.
    """

    def __init__(self, *, beta: float = 1.0, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        if not 0 <= beta < torch.inf:
            raise UserError(f"HardWeighted.beta = {beta} must not be negative; bind 0, which is InfoNCE, or a larger number.")
        self.beta = beta

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        negative = contrast.negative
        weights = (contrast.log_weights + log_mask(negative)).where(negative.any(dim=1, keepdim=True), 0.0)
        tilted = self.beta * contrast.scores.where(negative, 0.0)
        log_mean = log_partition(tilted, weights) - log_partition(torch.zeros_like(tilted), weights)
        return contrast.weigh((tilted - log_mean[:, None]).where(negative, 0.0))
