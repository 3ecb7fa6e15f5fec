"""The score of *Dream to Control*, Appendix B, for discrete latents: a categorical density, predicted from the observation alone."""

from typing import ClassVar, Literal, final

from jaxtyping import Float
from torch import Tensor

from framework import critics
from framework.critics.base import Critic, classes_of
from framework.data import Latent
from framework.errors import UserError
from framework.functional.categorical import mixed_log_probabilities
from framework.nn.blocks import MLP, Activation
from framework.specs import LatentKind, LatentSpec


@final
@critics.register
class CategoricalCritic(Critic):
    """`f(s, o) = sum_g z_g . log q_g(o)`, the state model `q(z | o)` of the paper over S groups of K classes, by one matrix product.

    `q_g = (1 - unimix) softmax(.) + unimix / K` from a head on the embedding alone: no score is below `S log(unimix / K)`, which is
    -258 nats for 32 x 32 classes and the 1% of DreamerV3 (Hafner et al., 2023). The latent is one-hot in each group.

    Gradients: to the head, and to the latent as its sample has them (straight through).
    """

    normalized_over: ClassVar[Literal["latent", "observation"] | None] = "latent"
    bounded: ClassVar[bool] = True
    takes_latent: ClassVar[tuple[LatentKind, ...]] = ("categorical",)
    cost: ClassVar[str] = "one perceptron on M embeddings, and N M S K: one product"

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        layers: int = 3,
        units: int = 400,
        activation: Activation = "elu",
        unimix: float = 0.01,
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        if not 0 < unimix < 1:
            raise UserError(f"CategoricalCritic.unimix = {unimix} must lie between 0 and 1, neither included: 0.01 keeps scores finite.")
        self.classes, self.unimix = classes_of(self, latent), unimix
        self.head = MLP(input_size=embedding_size, output_size=latent.stochastic, layers=layers, units=units, activation=activation)

    def score(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        return latents.stochastic @ mixed_log_probabilities(self.head(embeddings), self.classes, self.unimix).T
