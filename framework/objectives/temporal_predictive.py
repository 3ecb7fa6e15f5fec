"""TPC: histories and the latents that follow them find each other, by the world model's own prior."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final, final

import torch
import torch.nn.functional as F
from dm_env import specs
from einops import rearrange
from torch import Tensor

from framework import objectives
from framework.contrastive.contrast import Contrast
from framework.contrastive.metrics import check_scores_embeddings, check_selects, contrastive_metrics, diagnostics, estimate_key
from framework.contrastive.origin import Origin
from framework.critics.base import Critic
from framework.critics.prior_critic import PriorCritic
from framework.data import ActionSpec, Factory, InferredBatch, Latent, LatentSpec, Losses, Metrics
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional import contrastive
from framework.functional.random import Key, fold_in, normal
from framework.negatives.base import Negatives
from framework.objectives.base import Objective

NOISE: Final = 2
"""What blurs the latents is not what the negatives are drawn from."""


@final
@objectives.register
class TemporalPredictive(Objective):
    """Which of the histories led to this latent, which of the observations belongs to it, and how well it was foreseen.

        temporal_predictive  -log p(z_i | h_i) + log sum_j p(z_i | h_j)         z_i = mean_i + noise N(0, 1)
        static_predictive    -f(z_i, e_i) + log sum_j exp f(z_i, e_j)
        consistency          -log p(z_i | h_i)
        centering             |mean_j z_j|^2

    *Temporal Predictive Coding* (Nguyen et al., 2021): scales 1, 1, 0.1 and 0.01, the same step of the other sequences as negatives,
    noise 0.2, the first 5 steps of a sequence left out of what needs a history; DreamerPro's TPC (Deng et al., 2022) leaves out 1, has a
    floor of 0.1 under the prior's sigma and no centering. Without the static term everything may collapse to one point. It wants a
    dynamics whose posterior knows no history, such as `MemorylessSSM`, or the latent can repeat what it should be told from; `critic` is a
    head of its own on the embedding, where the paper uses the posterior's. A categorical latent is not blurred: its sample stands as it is.

    Gradients: to everything: priors, posteriors and, through the critic, the embedding.
    """

    losses: ClassVar[tuple[str, ...]] = ("temporal_predictive", "static_predictive", "consistency", "centering")

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        observation: Mapping[str, specs.Array],
        action: ActionSpec,
        temporal_scale: float = 1.0,
        static_scale: float = 1.0,
        consistency_scale: float = 0.1,
        centering_scale: float = 0.0,
        critic: Factory[Critic],
        negatives: Factory[Negatives],
        noise: float = 0.2,
        minimum_std: float = 0.1,
        warm_up: int = 1,
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size, observation=observation, action=action)
        if noise < 0 or warm_up < 0:
            raise UserError(f"TemporalPredictive.noise = {noise} and TemporalPredictive.warm_up = {warm_up} must be 0 or more.")
        self.prior = PriorCritic(latent=latent, embedding_size=embedding_size, minimum_std=minimum_std)
        self.critic: Critic = critic(latent=latent, embedding_size=embedding_size)
        self.negatives: Negatives = negatives()
        check_scores_embeddings("TemporalPredictive", self.critic, "posterior")
        check_selects("TemporalPredictive", self.negatives)
        self._loss_scales = dict(zip(self.losses, (temporal_scale, static_scale, consistency_scale, centering_scale), strict=True))
        self.kind, self.noise, self.warm_up = latent.kind, noise, warm_up

    @property
    def loss_scales(self) -> Mapping[str, float]:
        return self._loss_scales

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        rows, times = inferred.batch.reward.shape
        if times <= self.warm_up:
            raise UserError(f"TemporalPredictive.warm_up = {self.warm_up} leaves nothing of a sequence; bind a longer Replay.length.")
        latent = self._blurred(inferred.posterior.without_past(), key)
        temporal, static = self._temporal(inferred, latent, key), self._static(inferred, latent, key)
        found = torch.stack([contrastive.infonce_loss(temporal.scores, temporal.log_weights), -temporal.scores.diagonal()])
        predictive, consistency = F.pad(rearrange(found, "two (b t) -> two b t", b=rows), (self.warm_up, 0))
        losses = {
            "temporal_predictive": predictive,
            "static_predictive": rearrange(contrastive.infonce_loss(static.scores, static.log_weights), "(b t) -> b t", b=rows),
            "consistency": consistency,
            "centering": latent.stochastic.float().mean(dim=(0, 1)).square().sum().expand(rows, times),
        }
        with torch.no_grad():
            return losses, self._meters(temporal, static)

    def diagnose(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Metrics:
        """Of the temporal contrast, and what the critic of the static one says of itself."""
        temporal = self._temporal(inferred, self._blurred(inferred.posterior.without_past(), key), key)
        of_critic = self.critic.diagnose(rearrange(inferred.embedding, "b t e -> (b t) e"))
        return diagnostics("TemporalPredictive", self.negatives, temporal, inferred.embedding) | of_critic

    def _blurred(self, posterior: Latent, key: Key) -> Latent:
        if self.kind == "categorical":
            return posterior
        mean = posterior.statistics["mean"].float()
        return replace(posterior, stochastic=mean + self.noise * normal(fold_in(key, NOISE), *mean.shape))

    def _temporal(self, inferred: InferredBatch, latent: Latent, key: Key) -> Contrast:
        """Every latent (rows) against every history (columns)."""
        history = inferred.prior.map(lambda part: part[:, self.warm_up :]).flatten()
        told = rearrange(latent.stochastic[:, self.warm_up :], "b t z -> (b t) z")
        return self._contrast(self.prior(history, told).T, inferred.batch.episode[:, self.warm_up :], key)

    def _static(self, inferred: InferredBatch, latent: Latent, key: Key) -> Contrast:
        """Every latent (rows) against every observation (columns)."""
        embedding = rearrange(inferred.embedding, "b t e -> (b t) e")
        return self._contrast(self.critic(latent.flatten(), embedding), inferred.batch.episode, key)

    def _contrast(self, scores: Tensor, episode: Tensor, key: Key) -> Contrast:
        chosen: Contrast = self.negatives(Contrast.of(scores, Origin.of(episode)), key)
        return chosen

    def _meters(self, temporal: Contrast, static: Contrast) -> Metrics:
        """Those of a contrast are of the temporal one."""
        of_both = [contrastive.infonce_estimate(each.scores, each.log_weights).mean() for each in (temporal, static)]
        return {
            estimate_key(self.negatives): of_both[0],
            **contrastive_metrics([temporal.standing]),
            "contrastive/static_estimate": of_both[1],
            "contrastive/static_accuracy": contrastive.accuracy(static.scores, static.log_weights),
        }
