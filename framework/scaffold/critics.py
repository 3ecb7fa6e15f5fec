"""A critic of your own: a squared distance."""

from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework import critics
from framework.data import Latent
from framework.errors import UserError
from framework.specs import LatentSpec


@final
@critics.register
class MyComponent(critics.Critic):
    """`f(s, o) = -|W [z, h] - V e|^2 / size`: the closer, the more alike.

    Gradients: to both sides and both maps.
    """

    cost: ClassVar[str] = "N F size + M E size + N M size: three products"

    def __init__(self, *, latent: LatentSpec, embedding_size: int, size: int = 32) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        if size < 1:
            raise UserError(f"MyComponent.size = {size} is no size of a vector: bind 1 or more.")
        self.from_latent = nn.Linear(latent.feature_size, size)
        self.from_embedding = nn.Linear(embedding_size, size)

    def score(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        anchors, candidates = self.from_latent(latents.features), self.from_embedding(embeddings)
        return -torch.cdist(anchors, candidates).square() / anchors.shape[1]
