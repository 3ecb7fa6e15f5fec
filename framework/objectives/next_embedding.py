"""NE-Dreamer: a causal transformer over the latents so far predicts the embeddings that come next."""

from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from framework import objectives
from framework.data import InferredBatch, Losses, Metrics
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional.precision import full_precision
from framework.functional.random import Key
from framework.functional.redundancy import cross_correlation, redundancy_loss
from framework.nn.blocks import truncated_normal
from framework.objectives.base import Objective, of_pairs, same_episode
from framework.specs import ModelSpecs


@final
@objectives.register
class NextEmbedding(Objective):
    """`sum_k discount^(k-1) d(p_k(c_t), sg e_{t+k})` over `sum_k discount^(k-1)`, `c_t` the output of a causal transformer at step t.

        tokens of t    V W [z_t, h_t]  and  GELU(norm(U a_{t-1})),  plus learned positions;    c_t at the second;    p_k = MLP(norm(c_t))

    *Next Embedding Prediction Makes World Models Stronger* (Bredis et al., 2026), as released: the next step alone, by redundancy
    reduction (`distance = 'barlow'`, see `BarlowTwins`; one number for the batch, the same at every step), or `1 - cos` at each step
    (`'cosine'`); 2 pre-norm layers of 256 units and 4 heads, positions for 128 steps, truncated-normal weights. No token holds an action
    that follows its step: the prediction is one over policies. A step attends to its own episode alone (as released, to the one before
    too), and a pair across the end of an episode has no loss.

    Gradients: none to the embedding as a target, so that the encoder learns through the posteriors alone.
    """

    losses: ClassVar[tuple[str, ...]] = ("next_embedding",)

    def __init__(
        self,
        *,
        model: ModelSpecs,
        scale: float = 1.0,
        distance: Literal["barlow", "cosine"] = "barlow",
        redundancy: float = 5e-4,
        horizon: int = 1,
        discount: float = 0.9,
        layers: int = 2,
        units: int = 256,
        attention_heads: int = 4,
        longest: int = 128,
    ) -> None:
        super().__init__(model=model, scale=scale)
        if horizon < 1 or not 0 < discount <= 1 or redundancy < 0:
            raise UserError(
                f"NextEmbedding.horizon = {horizon} must be at least 1, NextEmbedding.discount = {discount} above 0 and at most 1, and "
                f"NextEmbedding.redundancy = {redundancy} 0 or more."
            )
        if layers < 1:
            raise UserError(f"NextEmbedding.layers = {layers} must be at least 1.")
        if attention_heads < 1 or units % attention_heads:
            raise UserError(f"NextEmbedding.units = {units} must be a multiple of NextEmbedding.attention_heads = {attention_heads}.")
        self.distance, self.redundancy, self.horizon, self.discount = distance, redundancy, horizon, discount
        self.attention_heads, self.longest, self.reach = attention_heads, longest, ("horizon", horizon)
        features, size = model.latent.feature_size, model.embedding_size
        self.latent_token = nn.Sequential(nn.Linear(features, size, bias=False), nn.Linear(size, units))
        self.action_token = nn.Sequential(nn.Linear(model.action.size, units), nn.LayerNorm(units), nn.GELU())
        self.positions = nn.Parameter(torch.empty(2 * longest, units))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(units, attention_heads, 4 * units, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.predictors = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(units), nn.Linear(units, units), nn.GELU(), nn.Linear(units, size)) for _ in range(horizon)
        )
        truncated_normal(self)
        nn.init.trunc_normal_(self.positions, std=0.02)  # `normal_` on the meta device imports torch's compiler

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        times = inferred.batch.reward.shape[1]
        context, targets = self._context(inferred), inferred.embedding.detach().float()
        weight = sum(self.discount**step for step in range(self.horizon))
        total, cosines = torch.zeros_like(inferred.batch.reward), []
        for step, predictor in enumerate(self.predictors, start=1):
            valid = same_episode(inferred.batch.episode, step)
            prediction, target = predictor(context[:, : times - step]).float(), targets[:, step:]
            cosine = F.cosine_similarity(prediction, target, dim=-1)
            loss = self._barlow(prediction, target, valid) if self.distance == "barlow" else of_pairs(1 - cosine, valid, step)
            total = total + self.discount ** (step - 1) / weight * loss
            cosines.append(of_pairs(cosine.detach(), valid, step).mean())
        return {"next_embedding": total}, {"model/next_embedding_cosine": torch.stack(cosines).mean()}

    def check(self, *, rows: int, times: int, extra: int) -> None:
        self.check_length(times)
        if times > self.longest:
            raise UserError(
                f"NextEmbedding.longest = {self.longest} steps have a position, and sequences are {times} steps long; bind a larger "
                "NextEmbedding.longest, or a smaller Replay.length."
            )

    def _context(self, inferred: InferredBatch) -> Float[Tensor, "B T U"]:
        """The outputs of the transformer after both tokens of each step."""
        both = torch.stack([self.latent_token(inferred.posterior.features), self.action_token(inferred.batch.action)], dim=2)
        tokens = rearrange(both, "b t two u -> b (t two) u")
        tokens = tokens + self.positions[: tokens.shape[1]]
        episode = repeat(inferred.batch.episode, "b t -> b (t two)", two=2)
        later = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=tokens.device).triu(1)
        blocked = later | (rearrange(episode, "b q -> b q 1") != rearrange(episode, "b k -> b 1 k"))
        mask = repeat(blocked, "b q k -> (b heads) q k", heads=self.attention_heads)
        for layer in self.layers:
            tokens = layer(tokens, src_mask=mask)
        return tokens[:, 1::2]

    def _barlow(self, prediction: Float[Tensor, "B L E"], target: Float[Tensor, "B L E"], valid: Bool[Tensor, "B L"]) -> Float[Tensor, ""]:
        with full_precision(target.device):
            first, second = (rearrange(view, "b l e -> (b l) e") for view in (prediction, target))
            return redundancy_loss(cross_correlation(first, second, rearrange(valid, "b l -> (b l)")), self.redundancy)
