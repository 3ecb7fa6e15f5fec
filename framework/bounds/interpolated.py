"""Between NWJ and InfoNCE."""

import math
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from framework import bounds
from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.errors import UserError
from framework.functional.bounds import log_mean_negative
from framework.functional.contrastive import infonce_estimate
from framework.specs import LatentSpec


@final
@bounds.register
class Interpolated(Bound):
    """`1 + f_ii - log a_i - mean_{j != i} exp(f_ij) / a'_i`, with the baseline `a = alpha mean_j exp f_ij + (1 - alpha) e`.

    Poole et al. (2019), the interpolated bound with the constant `e` for their `q(y)`: `alpha = 0` is NWJ, unbiased at its best critic,
    `alpha = 1` is InfoNCE, of low variance; never above `log(K / alpha)`. `a` averages over the candidates, the positive included;
    `a'` over the independent ones alone. Trained as it is evaluated.
    """

    baseline = 1.0

    def __init__(self, *, latent: LatentSpec, embedding_size: int, alpha: float = 0.5) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        if not 0 <= alpha <= 1:
            raise UserError(f"Interpolated.alpha = {alpha} must be from 0, which is NWJ, to 1, which is InfoNCE.")
        self.alpha = alpha

    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        positive = contrast.scores.diagonal()
        with_positive = positive - infonce_estimate(contrast.scores, contrast.log_weights)
        independent = log_mean_negative(contrast.scores, contrast.log_weights)
        ratio = (independent - self._log_baseline(independent)).exp()
        return 1 + positive - self._log_baseline(with_positive) - ratio

    def _log_baseline(self, log_mean: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        """`log(alpha exp(log_mean) + (1 - alpha) e)`."""
        share, rest = (math.log(part) if part > 0 else -math.inf for part in (self.alpha, 1 - self.alpha))
        return torch.logaddexp(log_mean + share, torch.full_like(log_mean, 1 + rest))
