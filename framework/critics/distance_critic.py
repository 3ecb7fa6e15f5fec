"""A distance as the score."""

from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework import critics
from framework.critics.base import Critic
from framework.data import Latent
from framework.nn.blocks import Temperature, glorot
from framework.specs import LatentSpec


@final
@critics.register
class DistanceCritic(Critic):
    """`f(s, o) = -|g([z, h]) - k(e)|^2 / temperature`, or `-|.| / temperature`, with a linear map on each side.

    `distance = 'squared'` is the `mse` kernel of MuMMI (Chen et al., 2021) and the energy of C-SWM; `plain` grows slower, and is the
    default of JaxGCRL (Bortkiewicz et al., 2024). `temperature` is fixed, or where a learned one starts, whose inverse
    is at most 100.

    Gradients: of the plain distance, zero at distances that float32 cannot distinguish from 0, where the root has none.
    """

    cost: ClassVar[str] = "N F size + M E size + N M size: three products"

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        size: int = 200,
        distance: Literal["squared", "plain"] = "squared",
        temperature_kind: Literal["fixed", "learned"] = "fixed",
        temperature: float = 1.0,
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        self.distance = distance
        self.from_latent = glorot(nn.Linear(latent.feature_size, size))
        self.from_embedding = glorot(nn.Linear(embedding_size, size, bias=False))
        self.temperature = Temperature(owner="DistanceCritic", kind=temperature_kind, initial=temperature)

    def score(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        distances = {"squared": squared_distances, "plain": plain_distances}[self.distance]
        return self.temperature.scale * -distances(self.from_latent(latents.features), self.from_embedding(embeddings))


def squared_distances(a: Float[Tensor, "N D"], b: Float[Tensor, "M D"]) -> Float[Tensor, "N M"]:
    """`|a_i - b_j|^2` for every pair, expanded around the mean of `b`; never below 0."""
    return _squares_and_rounding(a, b)[0].relu()


def plain_distances(a: Float[Tensor, "N D"], b: Float[Tensor, "M D"]) -> Float[Tensor, "N M"]:
    """`|a_i - b_j|` for every pair; 0, without gradient, where the square is lost in its own rounding."""
    squares, rounding = _squares_and_rounding(a, b)
    apart = squares > rounding
    return squares.where(apart, 1.0).sqrt().where(apart, 0.0)


def _squares_and_rounding(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The squared distances, and the size of their rounding errors."""
    center = b.detach().mean(dim=0)
    a, b = a - center, b - center
    norms = a.square().sum(dim=-1, keepdim=True) + b.square().sum(dim=-1)
    return norms - 2 * a @ b.T, 4 * torch.finfo(norms.dtype).eps * norms.detach()
