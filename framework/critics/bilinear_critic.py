"""A bilinear score."""

from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor, nn

from framework import critics
from framework.critics.base import Critic
from framework.data import Latent
from framework.nn.blocks import glorot
from framework.specs import LatentSpec


@final
@critics.register
class BilinearCritic(Critic):
    """`f(s, o) = (W [z, h]) . e`: one linear map, no bias, no temperature (CPC, van den Oord et al., 2018).

    `W` starts in Glorot's symmetric range; the all-positive `rand(0, 1)` of CURL and its heirs ties every score to the latent's sum.
    """

    cost: ClassVar[str] = "N F E + N M E: two products"

    def __init__(self, *, latent: LatentSpec, embedding_size: int) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        self.map = glorot(nn.Linear(latent.feature_size, embedding_size, bias=False))

    def score(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        return self.map(latents.features) @ embeddings.T
