"""The Donsker-Varadhan estimate with a clipped partition function."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import bounds
from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.errors import UserError
from framework.functional.bounds import jensen_shannon_loss, log_mean_all, log_mean_negative
from framework.specs import LatentSpec


@final
@bounds.register
class SMILE(Bound):
    """`f(s_i, o_i) - log mean_k mean_{j != k} exp clamp(f(s_k, o_j), -clip, clip)`; trained by Jensen and Shannon's loss.

    Song and Ermon (2020). Only the partition function is clipped: the smaller `clip`, the less variance, and the higher above the
    truth. No bound on either side.
    """

    side = None
    joins_anchors = True

    def __init__(self, *, latent: LatentSpec, embedding_size: int, clip: float = 5.0) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        if clip <= 0:
            raise UserError(f"SMILE.clip = {clip} must be positive: scores are clipped to [-clip, clip]; bind 1.0, 5.0 or more.")
        self.clip = clip

    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        clipped = contrast.scores.clamp(-self.clip, self.clip)
        return contrast.scores.diagonal() - log_mean_all(log_mean_negative(clipped, contrast.log_weights))

    def loss(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return jensen_shannon_loss(contrast.scores, contrast.log_weights)
