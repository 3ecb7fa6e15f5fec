"""TD-MPC2 and SPR: the dynamics predicts, some steps ahead under the actions that were taken, what is then inferred."""

from collections.abc import Iterator
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework import objectives
from framework.data import InferredBatch, Losses, Metrics
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional.random import Key
from framework.nn.blocks import glorot
from framework.objectives.base import Objective, of_pairs, same_episode
from framework.specs import ModelSpecs


@final
@objectives.register
class LatentConsistency(Objective):
    """`1 / H sum_{k=1..H} discount^(k-1) d(x_{t+k|t}, sg y_{t+k})`, `x` rolled from the posterior of t by the prior at its mean.

    `target = 'latent'` compares the features `[z, h]` with those of the posterior of `t + k`: TD-MPC2 (Hansen et al., 2024: the mean
    squared error, 3 steps, a discount of 0.5, scale 20), whose latent is the encoding itself. `'embedding'` compares `W [z, h]` with the
    embedding of `o_{t+k}`, by a slow copy of the encoder where `slow_rate` is its rate: SPR (Schwarzer et al., 2021: 5 steps,
    `distance = 'cosine'`, a discount of 1). A pair across the end of an episode has no loss; each k is averaged over its pairs.

    Gradients: none to the targets; to the dynamics and to the posterior of t through the whole roll.
    """

    losses: ClassVar[tuple[str, ...]] = ("latent_consistency",)

    def __init__(
        self,
        *,
        model: ModelSpecs,
        scale: float = 20.0,
        target: Literal["latent", "embedding"] = "latent",
        distance: Literal["squared", "cosine"] = "squared",
        horizon: int = 3,
        discount: float = 0.5,
        slow_rate: float | None = None,
    ) -> None:
        super().__init__(model=model, scale=scale)
        if horizon < 1 or not 0 < discount <= 1:
            raise UserError(
                f"LatentConsistency.horizon = {horizon} must be at least 1, and LatentConsistency.discount = {discount} above 0 and "
                "at most 1."
            )
        if slow_rate is not None and (target == "latent" or not 0 < slow_rate <= 1):
            raise UserError(
                f"LatentConsistency.slow_rate = {slow_rate} is the rate, above 0 and at most 1, of a slow encoder, which only embeddings "
                "come from; bind LatentConsistency.target = 'embedding', or slow_rate = None."
            )
        self.target, self.distance, self.horizon, self.discount, self.slow_rate = target, distance, horizon, discount, slow_rate
        self.reach = ("horizon", horizon)
        self.map = glorot(nn.Linear(model.latent.feature_size, model.embedding_size)) if target == "embedding" else nn.Identity()

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        batch, target = inferred.batch, self._target(inferred).float()
        times = target.shape[1]
        total, first = torch.zeros_like(batch.reward), torch.zeros_like(batch.reward[0, 0])
        for step, rolled in enumerate(self._rolled(inferred, dynamics), start=1):
            distance = self._distance(rolled[:, : times - step], target[:, step:])
            loss = of_pairs(distance, same_episode(batch.episode, step), step)
            total = total + self.discount ** (step - 1) / self.horizon * loss
            if step == 1:
                first = loss.detach().mean()
        return {"latent_consistency": total}, {"model/consistency_next_step": first}

    def _target(self, inferred: InferredBatch) -> Tensor:
        if self.target == "latent":
            return inferred.posterior.features.detach()
        slow = inferred.slow_embedding if self.slow_rate is not None else None
        return (inferred.embedding if slow is None else slow).detach()

    def _rolled(self, inferred: InferredBatch, dynamics: Dynamics) -> Iterator[Float[Tensor, "B T G"]]:
        """The prediction 1, 2, .. steps after each step; undefined past the end of a sequence."""
        latent, rows = inferred.posterior.flatten(), inferred.batch.reward.shape[0]
        noise = torch.zeros_like(latent.stochastic)
        for step in range(1, self.horizon + 1):
            action = rearrange(inferred.batch.action.roll(-step, dims=1), "b t a -> (b t) a")
            latent = dynamics.imagine_step(latent, action, noise)
            yield rearrange(self.map(latent.features), "(b t) g -> b t g", b=rows)

    def _distance(self, rolled: Float[Tensor, "B T G"], target: Float[Tensor, "B T G"]) -> Float[Tensor, "B T"]:
        if self.distance == "squared":
            return (rolled.float() - target).square().mean(dim=-1)
        return 1 - F.cosine_similarity(rolled.float(), target, dim=-1)
