"""A cosine over a temperature."""

from typing import ClassVar, Literal, final

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from framework import critics
from framework.critics.base import UnitCritic
from framework.data import Latent
from framework.nn.blocks import Temperature, glorot
from framework.specs import LatentSpec


@final
@critics.register
class CosineCritic(UnitCritic):
    """`f(s, o) = cos(W [z, h], V e) / temperature`, with a linear map on each side.

    `temperature` is fixed (SimCLR, Chen et al., 2020; MoCo, He et al., 2020), or where a learned one starts, whose inverse is at most 100
    (CLIP, Radford et al., 2021). No score leaves `+- 1 / temperature`, so that the loss of K candidates is at least
    `log(1 + (K - 1) exp(-2 / temperature))`: a temperature of 1 cannot discriminate many.
    """

    cost: ClassVar[str] = "N F size + M E size + N M size: three products"

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        size: int = 128,
        temperature_kind: Literal["fixed", "learned"] = "learned",
        temperature: float = 0.07,
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        self.from_latent = glorot(nn.Linear(latent.feature_size, size, bias=False))
        self.from_embedding = glorot(nn.Linear(embedding_size, size, bias=False))
        self.temperature = Temperature(owner="CosineCritic", kind=temperature_kind, initial=temperature)

    def embed_latents(self, latents: Latent) -> Float[Tensor, "N S"]:
        return F.normalize(self.from_latent(latents.features), dim=-1)

    def embed_candidates(self, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "M S"]:
        return F.normalize(self.from_embedding(embeddings), dim=-1)

    def scale(self) -> Float[Tensor, ""]:
        return self.temperature.scale
