"""NE-Dreamer: a causal transformer over the latents so far predicts the embeddings that come next."""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from dm_env import specs
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from framework import objectives
from framework.data import ActionSpec, InferredBatch, LatentSpec, Losses, Metrics
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional.precision import full_precision
from framework.functional.random import Key
from framework.functional.redundancy import cross_correlation, redundancy_loss
from framework.nn.attention import CausalTransformer
from framework.nn.blocks import glorot
from framework.objectives.base import Objective, embedding_rank, same_episode


@final
@objectives.register
class NextEmbedding(Objective):
    """`sum_k discount^(k-1) d(p_k(c_t), sg e_{t+k})` over `sum_k discount^(k-1)`, `c_t` the output of a transformer on `[z, h]` up to t.

    *Next Embedding Prediction Makes World Models Stronger* (Bredis et al., 2026): the next step alone, by redundancy reduction
    (`distance = 'barlow'`, see `BarlowTwins`; one number for the batch, the same at every step), or `1 - cos` at each step (`'cosine'`).
    In each layer a step attends to the last `window` of its own episode; a pair across the end of an episode has no loss. The actions
    between are no input: the prediction is one over policies.

    Gradients: none to the embedding as a target, so that the encoder learns through the posteriors alone.
    """

    losses: ClassVar[tuple[str, ...]] = ("next_embedding",)

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        observation: Mapping[str, specs.Array],
        action: ActionSpec,
        scale: float = 0.05,
        distance: Literal["barlow", "cosine"] = "barlow",
        redundancy: float = 5e-4,
        horizon: int = 1,
        discount: float = 1.0,
        layers: int = 2,
        units: int = 256,
        attention_heads: int = 4,
        window: int = 64,
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size, observation=observation, action=action, scale=scale)
        if horizon < 1 or not 0 < discount <= 1 or redundancy < 0:
            raise UserError(
                f"NextEmbedding.horizon = {horizon} must be at least 1, NextEmbedding.discount = {discount} above 0 and at most 1, and "
                f"NextEmbedding.redundancy = {redundancy} 0 or more."
            )
        if units % (2 * attention_heads):
            raise UserError(f"NextEmbedding.units = {units} must be a multiple of {2 * attention_heads}, an even share for each head.")
        self.distance, self.redundancy, self.horizon, self.discount = distance, redundancy, horizon, discount
        self.reach = ("horizon", horizon)
        self.token = nn.Linear(latent.feature_size, units)
        self.transformer = CausalTransformer(size=units, hidden=4 * units, layers=layers, attention_heads=attention_heads, window=window)
        self.predictors = nn.ModuleList([nn.Linear(units, embedding_size) for _ in range(horizon)])
        glorot(self)

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        rows, times = inferred.batch.reward.shape
        context, _ = self.transformer(self.token(inferred.posterior.features), inferred.batch.is_first, self.transformer.empty_past(rows))
        targets, weight = inferred.embedding.detach().float(), sum(self.discount**step for step in range(self.horizon))
        total, cosines = torch.zeros_like(inferred.batch.reward), []
        for step, predictor in enumerate(self.predictors, start=1):
            valid = same_episode(inferred.batch.episode, step)
            prediction, target = predictor(context[:, : times - step]).float(), targets[:, step:]
            cosine = F.cosine_similarity(prediction, target, dim=-1).where(valid, 0.0)
            if self.distance == "cosine":
                loss = F.pad((1 - cosine).where(valid, 0.0), (0, step))
            else:
                loss = self._barlow(prediction, target, valid)
            total = total + self.discount ** (step - 1) / weight * loss
            cosines.append(cosine.detach().sum() / valid.sum().clamp(min=1))
        return {"next_embedding": total}, {"model/next_embedding_cosine": torch.stack(cosines).mean()}

    def diagnose(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Metrics:
        return embedding_rank(inferred)

    def _barlow(self, prediction: Float[Tensor, "B L E"], target: Float[Tensor, "B L E"], valid: Bool[Tensor, "B L"]) -> Float[Tensor, ""]:
        with full_precision(target.device):
            first, second = (rearrange(view, "b l e -> (b l) e") for view in (prediction, target))
            return redundancy_loss(cross_correlation(first, second, rearrange(valid, "b l -> (b l)")), self.redundancy)
