"""A bound of your own: the estimate of InfoNCE with a margin for the positive in its loss."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from framework import bounds
from framework.contrastive.contrast import Contrast
from framework.errors import UserError
from framework.specs import LatentSpec


@final
@bounds.register
class MyComponent(bounds.Bound):
    """`log K_i + f_ii - log sum_j exp(f_ij + w_ij)`; the loss is its negative, with `f_ii - margin` for `f_ii`.

    A lower bound of at most `log K_i` (van den Oord et al., 2018). With a margin the loss goes on to raise a positive that wins.
    """

    capped = True

    def __init__(self, *, latent: LatentSpec, embedding_size: int, margin: float = 0.0) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        if margin < 0:
            raise UserError(f"MyComponent.margin = {margin} must not be negative; 0 trains the estimate itself.")
        self.margin = margin

    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return contrast.log_weights.logsumexp(dim=1) + _log_probability(contrast.scores, contrast.log_weights)

    def loss(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return -_log_probability(contrast.scores - self.margin * contrast.positive, contrast.log_weights)


def _log_probability(scores: Float[Tensor, "N M"], log_weights: Float[Tensor, "N M"]) -> Float[Tensor, " N"]:
    """That of the positive among the candidates."""
    return scores.diagonal() - torch.logsumexp(scores + log_weights, dim=1)
