"""TPC: histories and the latents that follow them predict each other, by the world model's own prior."""

from dataclasses import replace
from typing import ClassVar, Final, final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from framework import objectives
from framework.contrastive.compatibility import check_batch, check_selecting
from framework.contrastive.contrast import Contrast
from framework.contrastive.metrics import bound_suffix, contrastive_metrics, diagnostics, infonce_with_stats
from framework.contrastive.origin import Origin
from framework.critics.base import Critic
from framework.critics.prior_critic import PriorCritic
from framework.data import Factory, InferredBatch, Latent, Losses, Metrics, ModelSpecs
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional.random import Key, fold_in, normal
from framework.negatives.base import Negatives
from framework.objectives.base import Objective, after_warm_up

NOISE: Final = 2
"""Folded into the key, so that the noise on the latents differs from what the negatives draw."""


@final
@objectives.register
class TemporalPredictive(Objective):
    """Contrasts latents with histories, by the prior, and with observations, by a critic; and maximizes the prior of the latent.

        temporal_predictive  -log p(z_i | h_i) + log sum_j p(z_i | h_j)         z_i = mean_i + noise N(0, 1)
        static_predictive    -f(z_i, e_i) + log sum_j exp f(z_i, e_j)
        consistency          -log p(mean_i | h_i)
        centering             |mean_j mean_j|^2

    *Temporal Predictive Coding* (Nguyen et al., 2021): scales 1, 1, 0.1 and 0.01, the same step of the other sequences as negatives,
    noise 0.2, the first 5 steps of a sequence left out of what needs a history, and of its average; DreamerPro's TPC (Deng et al., 2022)
    leaves out 1, has a floor of 0.1 under the prior's sigma and no centering. Without the static term everything may collapse to one
    point. The dynamics should have a posterior without history, such as `MemorylessSSM`, or the latent can copy the history that it is
    contrasted with; `critic` is a head of its own on the embedding, where the paper uses the posterior's. A categorical latent has its
    sample in place of `z_i` and `mean_i`.

    Gradients: to everything: priors, posteriors and, through the critic, the embedding.
    """

    losses: ClassVar[tuple[str, ...]] = ("temporal_predictive", "static_predictive", "consistency", "centering")

    def __init__(
        self,
        *,
        model: ModelSpecs,
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
        super().__init__(model=model)
        if noise < 0 or warm_up < 0:
            raise UserError(f"TemporalPredictive.noise = {noise} and TemporalPredictive.warm_up = {warm_up} must be 0 or more.")
        self.prior = PriorCritic(latent=model.latent, embedding_size=model.embedding_size, minimum_std=minimum_std)
        self.critic: Critic = critic(latent=model.latent, embedding_size=model.embedding_size)
        self.negatives: Negatives = negatives()
        check_selecting("TemporalPredictive", self.critic, self.negatives, "posterior")
        self.loss_scales = dict(zip(self.losses, (temporal_scale, static_scale, consistency_scale, centering_scale), strict=True))
        self.kind, self.noise, self.warm_up = model.latent.kind, noise, warm_up
        self.reach = ("warm_up", warm_up)

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        rows, times = inferred.batch.reward.shape
        clean = self._clean(inferred.posterior)
        temporal, static = self._temporal(inferred, clean, key), self._static(inferred, clean, key)
        (predictive, stats), (static_loss, static_stats) = infonce_with_stats(temporal), infonce_with_stats(static)
        consistency = -self.prior.score_pairs(self._history(inferred), self._later(clean))
        losses = {
            "temporal_predictive": after_warm_up(rearrange(predictive, "(b t) -> b t", b=rows), self.warm_up),
            "static_predictive": rearrange(static_loss, "(b t) -> b t", b=rows),
            "consistency": after_warm_up(rearrange(consistency, "(b t) -> b t", b=rows), self.warm_up),
            "centering": clean.mean(dim=(0, 1)).square().sum().expand(rows, times),
        }
        estimate_key, every = "contrastive/estimate" + bound_suffix(self.negatives, "lower"), torch.ones_like(stats.positive_kept)
        return losses, contrastive_metrics(estimate_key, [stats], [every]) | {
            "contrastive/static_estimate": static_stats.estimate.mean(),
            "contrastive/static_accuracy": (static_stats.positive > static_stats.highest_negative).float().mean(),
        }

    def check(self, *, rows: int, times: int, extra: int) -> None:
        self.check_length(times)
        check_batch("TemporalPredictive", self.negatives, rows=rows, times=times - self.warm_up, extra=extra)

    def diagnose(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Metrics:
        """The diagnostics of the temporal contrast, and of the critic of the static one."""
        temporal = self._temporal(inferred, self._clean(inferred.posterior), key)
        metrics = diagnostics("TemporalPredictive", self.negatives, temporal)
        return metrics | self.critic.diagnose(rearrange(inferred.embedding, "b t e -> (b t) e"))

    def _clean(self, posterior: Latent) -> Tensor:
        return posterior.stochastic if self.kind == "categorical" else posterior.statistics["mean"].float()

    def _noisy(self, clean: Tensor, key: Key) -> Tensor:
        return clean if self.kind == "categorical" else clean + self.noise * normal(fold_in(key, NOISE), *clean.shape)

    def _history(self, inferred: InferredBatch) -> Latent:
        return inferred.prior.map(lambda part: part[:, self.warm_up :]).flatten()

    def _later(self, stochastic: Float[Tensor, "B T Z"]) -> Float[Tensor, "N Z"]:
        return rearrange(stochastic[:, self.warm_up :], "b t z -> (b t) z")

    def _temporal(self, inferred: InferredBatch, clean: Tensor, key: Key) -> Contrast:
        """Every latent (rows) against every history (columns)."""
        scores = self.prior(self._history(inferred), self._later(self._noisy(clean, key)))
        return self._contrast(scores.T, inferred.batch.episode[:, self.warm_up :], key)

    def _static(self, inferred: InferredBatch, clean: Tensor, key: Key) -> Contrast:
        """Every latent (rows) against every observation (columns)."""
        latent = replace(inferred.posterior.without_past(), stochastic=self._noisy(clean, key)).flatten()
        return self._contrast(self.critic(latent, rearrange(inferred.embedding, "b t e -> (b t) e")), inferred.batch.episode, key)

    def _contrast(self, scores: Tensor, episode: Tensor, key: Key) -> Contrast:
        contrast: Contrast = self.negatives(Contrast.of(scores, Origin.of(episode)), key)
        return contrast
