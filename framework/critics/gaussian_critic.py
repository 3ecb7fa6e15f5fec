"""The score of *Dream to Control*, Appendix B: a Gaussian density of the latent, predicted from the observation alone."""

import math
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from framework import critics
from framework.critics.base import Critic
from framework.data import Latent, Metrics
from framework.errors import UserError
from framework.functional import ranks
from framework.functional.distributions import gaussian_scores
from framework.nn.blocks import MLP, Activation
from framework.specs import LatentKind, LatentSpec


@final
@critics.register
class GaussianCritic(Critic):
    """`f(s, o) = log N(x(s); mu(o), diag sigma(o)^2)`, the state model `q(s | o)` of the paper, by three matrix products.

    `density = 'stochastic'` takes `x = z`, a head on the embedding alone: `log q(z | o)`. `density = 'feature'` takes `x = [z, h]`
    with a diagonal covariance, as the released code does: what `z` and `h` share counts twice, and so it is loose.
    `deviation = 'learned'` has `sigma(o) = softplus(. + shift) + minimum_std`, without a shift or with that of `initial_std`; `'fixed'` has
    `sigma = minimum_std` everywhere, as PI-SAC (1.0) and TPC's static term (0.2) do. A floor below 0.1 loses nats to cancellation; the
    released head has 1e-2, and an `initial_std` of 1.01.
    """

    normalized_over: ClassVar[Literal["latent", "observation"] | None] = "latent"
    takes_latent: ClassVar[tuple[LatentKind, ...]] = ("gaussian",)
    cost: ClassVar[str] = "one perceptron on M embeddings, and 2 N M D: two products"

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        density: Literal["stochastic", "feature"] = "stochastic",
        deviation: Literal["learned", "fixed"] = "learned",
        layers: int = 3,
        units: int = 400,
        activation: Activation = "elu",
        minimum_std: float = 0.1,
        initial_std: float | None = None,
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        if minimum_std <= 0:
            raise UserError(f"GaussianCritic.minimum_std = {minimum_std} must be positive, or the density has no bound.")
        if initial_std is not None and (deviation == "fixed" or initial_std <= minimum_std):
            raise UserError(
                f"GaussianCritic.initial_std = {initial_std} must be above GaussianCritic.minimum_std = {minimum_std}, and is of a "
                f"deviation that is 'learned', not '{deviation}'."
            )
        self.density, self.deviation, self.minimum_std = density, deviation, minimum_std
        self.shift = 0.0 if initial_std is None else math.log(math.expm1(initial_std - minimum_std))
        size = latent.stochastic if density == "stochastic" else latent.feature_size
        outputs = {"learned": 2 * size, "fixed": size}[deviation]
        self.head = MLP(input_size=embedding_size, output_size=outputs, layers=layers, units=units, activation=activation)

    def score(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        value = latents.stochastic if self.density == "stochastic" else latents.features
        return gaussian_scores(value, *self._statistics(embeddings))

    @torch.no_grad()
    def diagnose(self, embeddings: Float[Tensor, "M E"]) -> Metrics:
        return {"contrastive/sigma_smallest": -ranks.largest_of_all(-self._statistics(embeddings.float())[1].min())}

    def _statistics(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        outputs: Tensor = self.head(embeddings)
        if self.deviation == "fixed":
            return outputs, torch.full_like(outputs, self.minimum_std)
        mean, std = outputs.chunk(2, dim=-1)
        return mean, F.softplus(std + self.shift) + self.minimum_std
