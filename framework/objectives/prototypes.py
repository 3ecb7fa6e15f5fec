"""DreamerPro: latents and observations are assigned to the same prototypes, in equal shares over a batch."""

from copy import deepcopy
from typing import ClassVar, Final, final

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework import objectives
from framework.data import InferredBatch, Losses, Metrics
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional import ranks
from framework.functional.precision import full_precision
from framework.functional.random import Key
from framework.functional.sinkhorn import sinkhorn
from framework.nn.blocks import copy_parameters, glorot
from framework.objectives.base import Objective, after_warm_up
from framework.specs import ModelSpecs

MOST_ITERATIONS: Final = 1_000


@final
@objectives.register
class Prototypes(Objective):
    """Two views of an observation, and the latent of the first, predict the prototypes `c_k` that the slow encoder assigns to them.

        u = V e,  v = W [z, h];    p_k(x) = softmax_k(cos(x, c_k) / temperature);    q = Sinkhorn(cos(slow u, c) / epsilon)
        swapped_prototypes   -1/2 q_2 . log p(u_1) - 1/2 q_1 . log p(u_2)
        temporal_prototypes  -q_1 . log p(v)
        projection_norm      (|u_1| - 1)^2 / 2 + (|u_2| - 1)^2 / 2 + (|v| - 1)^2

    *DreamerPro* (Deng et al., 2022), after SwAV (Caron et al., 2020). All steps of one view share the assignment, except the first
    `warm_up` of each sequence, which have the norm loss alone. The prototypes have unit length at first and after each update, and are
    fixed for the first `frozen_updates`. Slow copies of `V` and of the encoder follow at `slow_rate`. Released: an `epsilon` of 0.0125
    with Gaussian latents, and of 0.05 with categorical ones. The paper infers latents for both views; here for the first alone, at half
    the cost.

    Gradients: none to the assignments, nor to slow copies; the prototypes learn from the three others alone.
    """

    losses: ClassVar[tuple[str, ...]] = ("swapped_prototypes", "temporal_prototypes", "projection_norm")
    needs_second_view = True
    updates: Tensor

    def __init__(
        self,
        *,
        model: ModelSpecs,
        swapped_scale: float = 1.0,
        temporal_scale: float = 1.0,
        norm_scale: float = 0.0,
        prototypes: int = 2500,
        size: int = 32,
        temperature: float = 0.1,
        epsilon: float = 0.0125,
        iterations: int = 3,
        slow_rate: float = 0.05,
        frozen_updates: int = 10_000,
        warm_up: int = 1,
    ) -> None:
        super().__init__(model=model)
        if prototypes < 2 or not 1 <= iterations <= MOST_ITERATIONS or temperature <= 0 or epsilon <= 0 or not 0 < slow_rate <= 1:
            raise UserError(
                f"Prototypes.prototypes = {prototypes} must be at least 2, Prototypes.iterations = {iterations} 1 to {MOST_ITERATIONS}, "
                f"Prototypes.temperature = {temperature} and Prototypes.epsilon = {epsilon} positive, and Prototypes.slow_rate = "
                f"{slow_rate} above 0 and at most 1."
            )
        if frozen_updates < 0 or warm_up < 0:
            raise UserError(f"Prototypes.frozen_updates = {frozen_updates} and Prototypes.warm_up = {warm_up} must be 0 or more.")
        self.loss_scales = dict(zip(self.losses, (swapped_scale, temporal_scale, norm_scale), strict=True))
        self.temperature, self.epsilon, self.iterations = temperature, epsilon, iterations
        self.frozen_updates, self.warm_up, self.slow_rate = frozen_updates, warm_up, slow_rate
        self.reach = ("warm_up", warm_up)
        self.from_embedding = glorot(nn.Linear(model.embedding_size, size))
        self.from_latent = glorot(nn.Linear(model.latent.feature_size, size))
        self.slow_from_embedding = deepcopy(self.from_embedding).requires_grad_(False)
        self.prototypes = nn.Parameter(torch.randn(prototypes, size))
        if not self.prototypes.is_meta:  # arithmetic on `meta`, where recipes are checked, imports torch's compiler
            self._normalize_prototypes()
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        second_view = inferred.second
        assert second_view is not None  # the world model provides it, and both slow embeddings
        with full_precision(inferred.embedding.device):
            first, second = (self.from_embedding(view.float()) for view in (inferred.embedding, second_view.embedding))
            latent = self.from_latent(inferred.posterior.features.float())
            targets = [self._assignment(view) for view in (inferred.slow_embedding, second_view.slow_embedding)]
            log_first, log_second, log_latent = (self._log_probabilities(each) for each in (first, second, latent))
            assigned = {
                "swapped_prototypes": -(targets[1] * log_first + targets[0] * log_second).sum(dim=-1) / 2,
                "temporal_prototypes": -(targets[0] * log_latent).sum(dim=-1),
            }
            losses = {name: after_warm_up(loss, self.warm_up) for name, loss in assigned.items()}
            losses["projection_norm"] = (_norm_error(first) + _norm_error(second)) / 2 + _norm_error(latent)
        return losses, _metrics(log_first.detach(), targets[0], log_latent.detach())

    @torch.no_grad()
    def after_update(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> None:
        assert self.slow_rate is not None
        copy_parameters(source=self.from_embedding, target=self.slow_from_embedding, rate=self.slow_rate)
        self._normalize_prototypes()
        self.updates.add_(1)

    @torch.no_grad()
    def _normalize_prototypes(self) -> None:
        self.prototypes.copy_(F.normalize(self.prototypes, dim=-1))

    def _scores(self, projected: Float[Tensor, "B T S"]) -> Float[Tensor, "B L K"]:
        """Cosines after the warm-up, the prototypes having unit length. Gradients: none to the prototypes while they are fixed."""
        fixed = self.updates < self.frozen_updates
        prototypes = torch.where(fixed, self.prototypes.detach(), self.prototypes)
        return F.normalize(projected[:, self.warm_up :], dim=-1) @ prototypes.T

    def _log_probabilities(self, projected: Float[Tensor, "B T S"]) -> Float[Tensor, "B L K"]:
        return torch.log_softmax(self._scores(projected) / self.temperature, dim=-1)

    @torch.no_grad()
    def _assignment(self, slow_embedding: Float[Tensor, "B T E"] | None) -> Float[Tensor, "B L K"]:
        assert slow_embedding is not None
        scores = self._scores(self.slow_from_embedding(slow_embedding.float()))
        shares = sinkhorn(rearrange(scores, "b l k -> (b l) k"), self.epsilon, self.iterations)
        return rearrange(shares, "(b l) k -> b l k", b=scores.shape[0])


def _norm_error(projected: Float[Tensor, "B T S"]) -> Float[Tensor, "B T"]:
    """The squared difference of the length from 1."""
    return (torch.linalg.vector_norm(projected, dim=-1) - 1).square()


def _metrics(log_first: Tensor, target: Tensor, log_latent: Tensor) -> Metrics:
    """The number of prototypes in use (the exponential of an entropy), and how often the most likely one is the assigned one."""
    share = ranks.mean_of_all(log_first.exp().mean(dim=(0, 1)))
    return {
        "model/prototypes_used": torch.special.entr(share).sum().exp(),
        "model/prototypes_agreement": (log_latent.argmax(dim=-1) == target.argmax(dim=-1)).float().mean(),
    }
