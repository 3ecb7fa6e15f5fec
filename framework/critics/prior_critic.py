"""The world model's own prior as the score."""

from typing import ClassVar, Literal, final

from jaxtyping import Float
from torch import Tensor

from framework import critics
from framework.critics.base import Critic, classes_of
from framework.data import Latent
from framework.errors import UserError
from framework.functional.categorical import mixed_log_probabilities
from framework.functional.distributions import gaussian_scores, normal_log_density
from framework.specs import LatentSpec


@final
@critics.register
class PriorCritic(Critic):
    """`f(s_i, o_j) = log p(z_j | h_i)`: the log-density of the posterior's stochastic part at j under the prior of anchor i.

    *Temporal Predictive Coding* (Nguyen et al., 2021). It has no parameters of its own: the term trains the dynamics and the encoder.
    A density over `z_j`, and so for the column axis: the target is fixed, and the sum runs over histories. `minimum_std` is the floor of
    a Gaussian prior's sigma in the score.
    """

    normalized_over: ClassVar[Literal["latent", "observation"] | None] = "observation"
    anchor: ClassVar[Literal["posterior", "prior"] | None] = "prior"
    candidate: ClassVar[Literal["embedding", "stochastic"]] = "stochastic"
    cost: ClassVar[str] = "2 N M D: two products (one of categorical latents); no parameters"

    def __init__(self, *, latent: LatentSpec, embedding_size: int, minimum_std: float = 0.1) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        if minimum_std <= 0:
            raise UserError(f"PriorCritic.minimum_std = {minimum_std} must be positive, or the density has no bound.")
        self.minimum_std = minimum_std
        self.classes = classes_of(self, latent) if latent.kind == "categorical" else None

    def score(self, latents: Latent, embeddings: Float[Tensor, "M Z"]) -> Float[Tensor, "N M"]:
        prior = latents.statistics
        if self.classes is not None:
            return mixed_log_probabilities(prior["logits"], self.classes, unimix=0.0) @ embeddings.T
        return gaussian_scores(embeddings, prior["mean"], prior["std"].clamp(min=self.minimum_std)).T

    def score_pairs(self, latents: Latent, embeddings: Float[Tensor, "N Z"]) -> Float[Tensor, " N"]:
        prior = latents.statistics
        if self.classes is not None:
            return (mixed_log_probabilities(prior["logits"], self.classes, unimix=0.0) * embeddings.float()).sum(dim=-1)
        return normal_log_density(embeddings, prior["mean"], prior["std"].float().clamp(min=self.minimum_std)).sum(dim=-1)
