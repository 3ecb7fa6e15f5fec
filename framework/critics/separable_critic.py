"""A separable score."""

from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from framework import critics
from framework.critics.base import Critic
from framework.data import Latent
from framework.nn.blocks import MLP, Activation
from framework.specs import LatentSpec


@final
@critics.register
class SeparableCritic(Critic):
    """`f(s, o) = g([z, h]) . k(e)` with a multilayer perceptron on each side.

    *Contrastive Variational Reinforcement Learning* (Ma et al., 2020): two layers of 200 ELU units, dot product, no temperature.
    """

    cost: ClassVar[str] = "two perceptrons, and N M size: one product"

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        layers: int = 1,
        units: int = 200,
        size: int = 200,
        activation: Activation = "elu",
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        self.from_latent = MLP(input_size=latent.feature_size, output_size=size, layers=layers, units=units, activation=activation)
        self.from_embedding = MLP(input_size=embedding_size, output_size=size, layers=layers, units=units, activation=activation)

    def score(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        return self.from_latent(latents.features) @ self.from_embedding(embeddings).T
