"""DreamerPro: latents and observations are sorted into prototypes alike, by an assignment that uses all of them."""

from collections.abc import Mapping
from copy import deepcopy
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from dm_env import specs
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework import objectives
from framework.data import ActionSpec, InferredBatch, LatentSpec, Losses, Metrics
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional.contrastive import effective_rank
from framework.functional.precision import full_precision
from framework.functional.random import Key
from framework.functional.sinkhorn import sinkhorn
from framework.nn.blocks import copy_parameters, glorot
from framework.objectives.base import Objective


@final
@objectives.register
class Prototypes(Objective):
    """Two views of an observation, and the latent that saw the first, are told which prototypes `c_k` the slow encoder assigns them to.

        u = V e,  v = W [z, h];    p_k(x) = softmax_k(cos(x, c_k) / temperature);    q = Sinkhorn(cos(slow u, c) / epsilon)
        swapped_prototypes   -1/2 q_2 . log p(u_1) - 1/2 q_1 . log p(u_2)
        temporal_prototypes  -q_1 . log p(v)
        projection_norm      (|u_1| - 1)^2 / 2 + (|u_2| - 1)^2 / 2 + (|v| - 1)^2

    *DreamerPro* (Deng et al., 2022), after SwAV (Caron et al., 2020). All steps of one view share the assignment, but for the first
    `warm_up` of each sequence, which count for nothing; the prototypes stand still for the first `frozen_updates`. Slow copies of `V`
    and of the encoder follow at `slow_rate`. The paper filters both views; here the first alone is filtered, at half the price.

    Gradients: none to the assignments, nor to slow copies; the prototypes learn from the three others alone.
    """

    losses: ClassVar[tuple[str, ...]] = ("swapped_prototypes", "temporal_prototypes", "projection_norm")
    needs_second_view = True
    updates: Tensor

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        observation: Mapping[str, specs.Array],
        action: ActionSpec,
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
        super().__init__(latent=latent, embedding_size=embedding_size, observation=observation, action=action)
        _check(prototypes, iterations, temperature, epsilon, slow_rate)
        self._loss_scales = dict(zip(self.losses, (swapped_scale, temporal_scale, norm_scale), strict=True))
        self.temperature, self.epsilon, self.iterations = temperature, epsilon, iterations
        self.frozen_updates, self.warm_up, self._slow_rate = frozen_updates, warm_up, slow_rate
        self.from_embedding = glorot(nn.Linear(embedding_size, size))
        self.from_latent = glorot(nn.Linear(latent.feature_size, size))
        self.slow_from_embedding = deepcopy(self.from_embedding).requires_grad_(False)
        self.prototypes = nn.Parameter(nn.init.xavier_uniform_(torch.empty(prototypes, size)))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    @property
    def loss_scales(self) -> Mapping[str, float]:
        return self._loss_scales

    @property
    def slow_rate(self) -> float | None:
        return self._slow_rate

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        if inferred.batch.reward.shape[1] <= self.warm_up:
            raise UserError(f"Prototypes.warm_up = {self.warm_up} leaves nothing of a sequence; bind a longer Replay.length.")
        with full_precision(inferred.embedding.device):
            views, slow_views = _of_both_views(inferred, self.warm_up)
            first, second = (self.from_embedding(each) for each in views)
            temporal = self.from_latent(inferred.posterior.features[:, self.warm_up :].float())
            with torch.no_grad():
                targets = [self._assigned(each) for each in slow_views]
            told, also, believed = (self._log_probabilities(each) for each in (first, second, temporal))
            losses = {
                "swapped_prototypes": -(targets[1] * told + targets[0] * also).sum(dim=-1) / 2,
                "temporal_prototypes": -(targets[0] * believed).sum(dim=-1),
                "projection_norm": (_off_unit(first) + _off_unit(second)) / 2 + _off_unit(temporal),
            }
        metrics = _meters(told.detach(), targets[0], believed.detach())
        return {name: F.pad(loss, (self.warm_up, 0)) for name, loss in losses.items()}, metrics

    @torch.no_grad()
    def after_update(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> None:
        copy_parameters(source=self.from_embedding, target=self.slow_from_embedding, rate=self._slow_rate)
        self.updates.add_(1)

    def diagnose(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Metrics:
        """The collapse meter."""
        return {"model/effective_rank": effective_rank(rearrange(inferred.embedding, "b t e -> (b t) e"))}

    def _scores(self, projected: Float[Tensor, "B L S"]) -> Float[Tensor, "B L K"]:
        """Cosines. The prototypes get no gradient as long as they stand still."""
        still = self.updates < self.frozen_updates
        prototypes = torch.where(still, self.prototypes.detach(), self.prototypes)
        return F.normalize(projected, dim=-1) @ F.normalize(prototypes, dim=-1).T

    def _log_probabilities(self, projected: Float[Tensor, "B L S"]) -> Float[Tensor, "B L K"]:
        return torch.log_softmax(self._scores(projected) / self.temperature, dim=-1)

    def _assigned(self, slow_embedding: Float[Tensor, "B L E"]) -> Float[Tensor, "B L K"]:
        scores = self._scores(self.slow_from_embedding(slow_embedding))
        shares = sinkhorn(rearrange(scores, "b l k -> (b l) k"), self.epsilon, self.iterations)
        return rearrange(shares, "(b l) k -> b l k", b=scores.shape[0])


def _of_both_views(inferred: InferredBatch, warm_up: int) -> tuple[list[Tensor], list[Tensor]]:
    """The embeddings of both views, and those of the slow encoder, from the first step that counts, in float32."""
    view = inferred.second
    assert view is not None  # the world model sees to these three
    assert inferred.slow_embedding is not None
    assert view.slow_embedding is not None
    known, slow = (inferred.embedding, view.embedding), (inferred.slow_embedding, view.slow_embedding)
    return [each[:, warm_up:].float() for each in known], [each[:, warm_up:].float() for each in slow]


def _off_unit(projected: Float[Tensor, "B L S"]) -> Float[Tensor, "B L"]:
    """The square of how far the length is from 1."""
    return (torch.linalg.vector_norm(projected, dim=-1) - 1).square()


def _meters(told: Tensor, target: Tensor, believed: Tensor) -> Metrics:
    """How many prototypes are in use (the exponential of an entropy), and how often the most likely one is the assigned one."""
    share = told.exp().mean(dim=(0, 1))
    return {
        "model/prototypes_used": torch.special.entr(share).sum().exp(),
        "model/prototypes_agreement": (believed.argmax(dim=-1) == target.argmax(dim=-1)).float().mean(),
    }


def _check(prototypes: int, iterations: int, temperature: float, epsilon: float, slow_rate: float) -> None:
    if prototypes < 2 or iterations < 1 or temperature <= 0 or epsilon <= 0 or not 0 < slow_rate <= 1:
        raise UserError(
            f"Prototypes.prototypes = {prototypes} must be at least 2, Prototypes.iterations = {iterations} at least 1, "
            f"Prototypes.temperature = {temperature} and Prototypes.epsilon = {epsilon} positive, and Prototypes.slow_rate = {slow_rate} "
            "above 0 and at most 1."
        )
