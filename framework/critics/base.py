"""The contract of a critic: a contrastive score, never a value function."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import Latent, LatentKind, LatentSpec, Metrics


class Critic(nn.Module, ABC):
    """Scores `f(s_i, o_j)` every latent against every candidate embedding, in float32 under any precision.

    `normalised_over` says over what a density critic sums to one: `latent` is right on the row axis alone, `observation` on the
    column axis alone, None on both. `bounded` says whether scores stay in a range that does not grow in training.
    """

    derived: ClassVar[tuple[str, ...]] = ("latent", "embedding_size")
    normalised_over: ClassVar[Literal["latent", "observation"] | None] = None
    bounded: ClassVar[bool] = False
    takes_latent: ClassVar[tuple[LatentKind, ...]] = ("gaussian", "categorical")

    @abstractmethod
    def __init__(self, *, latent: LatentSpec, embedding_size: int) -> None:
        super().__init__()

    def forward(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        with torch.autocast(embeddings.device.type, enabled=False):
            return self.score(latents.map(Tensor.float), embeddings.float())

    @abstractmethod
    def score(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        """The scores, of float32 latents `[N, ..]` and float32 embeddings."""

    def diagnose(self, embeddings: Float[Tensor, "M E"]) -> Metrics:
        """What only this critic can say of itself, read once per logging interval."""
        return {}
