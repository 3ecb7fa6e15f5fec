"""A network on pairs."""

from typing import ClassVar, final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from framework import critics
from framework.critics.base import Critic
from framework.data import Latent
from framework.errors import UserError
from framework.nn.blocks import ACTIVATIONS, MLP, Activation, glorot
from framework.specs import LatentSpec


@final
@critics.register
class ConcatCritic(Critic):
    """`f(s, o) = MLP([z, h, e])`, a network on every pair: the most expressive score, and the most expensive.

    The critic of MINE (Belghazi et al., 2018), with the two layers of 256 of Poole et al. (2019). The first layer is `W_s s + W_o e`; the
    others run over `pairs_at_once` pairs at a time, and their activations are computed again in the backward pass, so that memory grows
    with the scores alone.
    """

    cost: ClassVar[str] = "N M units^2 (layers - 1) + N M units: a perceptron on every pair"

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        layers: int = 2,
        units: int = 256,
        activation: Activation = "relu",
        pairs_at_once: int = 32_768,
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        for name, value in (("layers", layers), ("pairs_at_once", pairs_at_once)):
            if value < 1:
                raise UserError(f"ConcatCritic.{name} = {value} must be at least 1.")
        self.sizes, self.pairs_at_once = [latent.feature_size, embedding_size], pairs_at_once
        self.first = nn.Linear(sum(self.sizes), units)
        glorot(self.first)
        rest = MLP(input_size=units, output_size=1, layers=layers - 1, units=units, activation=activation)
        self.rest = nn.Sequential(ACTIVATIONS[activation](), rest)

    def score(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        latent_weight, embedding_weight = self.first.weight.split(self.sizes, dim=1)
        rows = F.linear(latents.features, latent_weight, self.first.bias)
        columns = F.linear(embeddings, embedding_weight)
        blocks = rows.split(max(1, self.pairs_at_once // columns.shape[0]))
        return torch.cat([checkpoint(self._block, block, columns, use_reentrant=False, preserve_rng_state=False) for block in blocks])

    def _block(self, rows: Float[Tensor, "C U"], columns: Float[Tensor, "M U"]) -> Float[Tensor, "C M"]:
        scores: Tensor = self.rest(rearrange(rows, "c u -> c 1 u") + columns)
        return rearrange(scores, "c m 1 -> c m")
