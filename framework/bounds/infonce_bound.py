"""The bound of InfoNCE."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import bounds
from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.functional import contrastive


@final
@bounds.register
class InfoNCEBound(Bound):
    """`log K_i + f(s_i, o_i) - log sum_j exp(f(s_i, o_j) + w_ij)`; trained by its softmax cross-entropy.

    van den Oord et al. (2018); Poole et al. (2019), Eq. 12. Low in variance, and never above `log K`.
    """

    capped = True

    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return contrastive.infonce_estimate(contrast.scores, contrast.log_weights)

    def loss(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return contrastive.infonce_loss(contrast.scores, contrast.log_weights)

    def loss_and_estimate(self, contrast: Contrast) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        loss = self.loss(contrast)
        return loss, contrastive.log_candidates(contrast.log_weights.detach()) - loss.detach()
