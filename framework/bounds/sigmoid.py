"""The sigmoid loss of SigLIP."""

from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from framework import bounds
from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.functional.bounds import log_odds, sum_softplus
from framework.specs import LatentSpec


@final
@bounds.register
class Sigmoid(Bound):
    """`softplus(-l_ii) + sum_{j != i} softplus(l_ij)` with `l_ij = f(s_i, o_j) + bias - log(K_i - 1)`, one binary decision per pair.

    Zhai et al. (2023). Their bias of -10 fits batches of 22,000: here `log(K_i - 1)` follows the batch, and `bias` is learned from 0.
    The best critic has `f + bias = log ratio`, so the estimate is the mean of `f_ii + bias`, which is no bound. A temperature is a
    setting of the critic.
    """

    side = None

    def __init__(self, *, latent: LatentSpec, embedding_size: int) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        self.bias = nn.Parameter(torch.zeros(()))

    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return contrast.scores.diagonal() + self.bias

    def loss(self, contrast: Contrast) -> Float[Tensor, " N"]:
        logits = contrast.scores + self.bias - log_odds(contrast.log_weights)[:, None]
        return F.softplus(-logits.diagonal()) + sum_softplus(logits, contrast.log_weights)
