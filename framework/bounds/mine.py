"""Mutual information neural estimation: the Donsker-Varadhan bound with an unbiased gradient."""

import math
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from framework import bounds
from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.errors import UserError
from framework.functional.bounds import donsker_varadhan_estimate, log_mean_all, log_mean_negative
from framework.specs import LatentSpec


@final
@bounds.register
class MINE(Bound):
    """The estimate is Donsker and Varadhan's; in the gradient, its denominator is a running mean over updates.

        D_t = (1 - rate) D_{t-1} + rate mean_k M_k,    d loss = -d f_ii + d M_i / D_t    M_k = mean_{j != k} exp f(s_k, o_j)

    Belghazi et al. (2018), Section 3.2. The mean is kept as a logarithm, and corrected for its start at zero: `rate = 1` is
    `DonskerVaradhan`. An objective of several axes or offsets has one mean for all.

    Gradients: none through `D_t`.
    """

    side = None
    joins_anchors = True
    is_stateful = True
    log_mean: Tensor
    log_share: Tensor

    def __init__(self, *, latent: LatentSpec, embedding_size: int, rate: float = 0.01) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        if not 0 < rate <= 1:
            raise UserError(f"MINE.rate = {rate} must be above 0 and at most 1: the share of the newest batch in the running mean.")
        self.log_rate, self.log_rest = math.log(rate), math.log1p(-rate) if rate < 1 else -math.inf
        self.register_buffer("log_mean", torch.tensor(-torch.inf))
        self.register_buffer("log_share", torch.tensor(-torch.inf))

    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return donsker_varadhan_estimate(contrast.scores, contrast.log_weights)

    def loss(self, contrast: Contrast) -> Float[Tensor, " N"]:
        mean, share = self._running(contrast)
        log_means = log_mean_negative(contrast.scores, contrast.log_weights)
        ratio = (log_means - (mean - share)).exp()
        return log_mean_all(log_means).detach() + (ratio - ratio.detach()) - contrast.scores.diagonal()

    @torch.no_grad()
    def after_update(self, contrast: Contrast) -> None:
        mean, share = self._running(contrast)
        self.log_mean.copy_(mean)
        self.log_share.copy_(share)

    def _running(self, contrast: Contrast) -> tuple[Tensor, Tensor]:
        """The logarithms of the running sum with this batch in it, and of the total weight of all batches."""
        newest = log_mean_all(log_mean_negative(contrast.scores.detach(), contrast.log_weights.detach()))
        mean = torch.logaddexp(self.log_mean + self.log_rest, newest + self.log_rate)
        return mean, torch.logaddexp(self.log_share + self.log_rest, torch.full_like(newest, self.log_rate))
