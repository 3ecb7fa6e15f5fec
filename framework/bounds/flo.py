"""The Fenchel-Legendre bound."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework import bounds
from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.errors import UserError
from framework.functional.bounds import log_mean_negative
from framework.functional.precision import full_precision
from framework.nn.blocks import MLP, Activation
from framework.specs import LatentSpec


@final
@bounds.register
class FLO(Bound):
    """`1 - u_i - exp(-u_i) mean_{j != i} exp(f_ij - f_ii)` with a learned `u(s_i, o_i)`; trained as it is evaluated.

    Guo et al. (2022), *Tight Mutual Information Estimation with Contrastive Fenchel-Legendre Optimization*. Not capped, and only
    differences of scores are exponentiated. The best `u` is `-log ratio`; the perceptron, on `[z, h]` and the embedding of each positive
    pair, begins near 0. It needs the row axis, which has the pairs themselves.
    """

    needs_source = True

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        layers: int = 2,
        units: int = 200,
        activation: Activation = "elu",
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        size = latent.feature_size + embedding_size
        self.network: nn.Module = MLP(input_size=size, output_size=1, layers=layers, units=units, activation=activation, output_scale=0.01)

    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        u, scores = self._u(contrast), contrast.scores
        return 1 - u - (log_mean_negative(scores, contrast.log_weights) - scores.diagonal() - u).exp()

    def _u(self, contrast: Contrast) -> Float[Tensor, " N"]:
        source = contrast.source
        if source is None:
            raise UserError(
                "FLO needs the latents and embeddings of the pairs, which only the row axis gives; "
                "bind InfoNCE.axis = 'row' or another InfoNCE.bound."
            )
        with full_precision(contrast.scores.device):
            features = source.latents.features.float()
            pairs = torch.cat([features, source.embeddings[: features.shape[0]].float()], dim=-1)
            return self.network(pairs).squeeze(-1)
