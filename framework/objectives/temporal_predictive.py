"""TPC: histories and the latents that follow them predict each other, by the world model's own prior."""

from dataclasses import replace
from typing import ClassVar, Final, final

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from framework import objectives
from framework.contrastive.compatibility import check_batch, check_selecting
from framework.contrastive.contrast import Contrast
from framework.contrastive.metrics import contrastive_metrics, diagnostics, infonce_with_stats
from framework.contrastive.origin import Origin
from framework.critics.base import Critic
from framework.critics.prior_critic import PriorCritic
from framework.data import Factory, InferredBatch, Latent, Losses, Metrics
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional import ranks
from framework.functional.random import Key, fold_in, normal
from framework.negatives.base import Negatives
from framework.objectives.base import Objective, after_warm_up
from framework.specs import ModelSpecs

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
    sample in place of `z_i` and `mean_i`. Where several ranks train, histories and observations of all are candidates (`gather`), or
    those of the latent's own rank.

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
        gather: bool = True,
    ) -> None:
        super().__init__(model=model)
        if noise < 0 or warm_up < 0:
            raise UserError(f"TemporalPredictive.noise = {noise} and TemporalPredictive.warm_up = {warm_up} must be 0 or more.")
        self.prior = PriorCritic(latent=model.latent, embedding_size=model.embedding_size, minimum_std=minimum_std)
        self.critic: Critic = critic(latent=model.latent, embedding_size=model.embedding_size)
        self.negatives: Negatives = negatives()
        check_selecting("TemporalPredictive", self.critic, self.negatives, "posterior")
        self.loss_scales = dict(zip(self.losses, (temporal_scale, static_scale, consistency_scale, centering_scale), strict=True))
        self.kind, self.noise, self.warm_up, self.gather = model.latent.kind, noise, warm_up, gather
        self.reach = ("warm_up", warm_up)

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        rows, times = inferred.batch.reward.shape
        (temporal, stats), (static, static_stats) = map(infonce_with_stats, self._contrasts(inferred, key))
        clean = self._clean(inferred.posterior)
        consistency = -self.prior.score_pairs(*self._after_warm_up(inferred.prior, clean))
        by_rows = [rearrange(each, "(b t) -> b t", b=rows) for each in (temporal, static, consistency)]
        losses = {
            "temporal_predictive": after_warm_up(by_rows[0], self.warm_up),
            "static_predictive": by_rows[1],
            "consistency": after_warm_up(by_rows[2], self.warm_up),
            "centering": ranks.mean_of_all(clean.mean(dim=(0, 1))).square().sum().expand(rows, times),
        }
        every, every_static = (torch.ones_like(each.positive_kept) for each in (stats, static_stats))
        return losses, contrastive_metrics([stats], [every], is_lower_bound=self.is_lower_bound) | {
            "contrastive/static_estimate": static_stats.estimate.mean(),
            "contrastive/static_accuracy": static_stats.accuracy(every_static),
        }

    @property
    def is_lower_bound(self) -> bool:
        return self.negatives.bounds_below()

    def check(self, *, rows: int, times: int, extra: int) -> None:
        self.check_length(times)
        rows *= ranks.size() if self.gather else 1
        check_batch("TemporalPredictive", self.negatives, rows=rows, times=times - self.warm_up, extra=extra)

    def diagnose(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Metrics:
        """The diagnostics of the temporal contrast, and of the critic of the static one."""
        temporal, _ = self._contrasts(inferred, key)
        metrics = diagnostics("TemporalPredictive", self.negatives, temporal)
        return metrics | self.critic.diagnose(rearrange(inferred.embedding, "b t e -> (b t) e"))

    def _contrast(self, inferred: InferredBatch, dynamics: Dynamics | None, key: Key) -> Contrast:
        return self._contrasts(inferred, key)[0]

    def _contrasts(self, inferred: InferredBatch, key: Key) -> tuple[Contrast, Contrast]:
        """Every latent (rows) against every history after the warm-up, and against every observation (columns)."""
        latents = self._clean(inferred.posterior)
        if self.kind == "gaussian":
            latents = latents + self.noise * normal(fold_in(key, NOISE), *latents.shape)
        histories, followers = self._after_warm_up(inferred.prior.without_past(), latents)
        scores = self.prior(histories.map(self._shared), followers).T
        temporal = Contrast.of(scores, self._origin(inferred.batch.episode[:, self.warm_up :]))
        embedding = self._shared(rearrange(inferred.embedding, "b t e -> (b t) e"))
        scores = self.critic(replace(inferred.posterior.without_past(), stochastic=latents).flatten(), embedding)
        static = Contrast.of(scores, self._origin(inferred.batch.episode))
        return self.negatives(temporal, key), self.negatives(static, key)

    def _shared(self, rows: Tensor) -> Tensor:
        return ranks.gather_own_first(rows) if self.gather else rows

    def _origin(self, episode: Int[Tensor, "B T"]) -> Origin:
        own = Origin.of(episode)
        return own.of_all_ranks() if self.gather else own

    def _clean(self, posterior: Latent) -> Float[Tensor, "B T Z"]:
        return posterior.statistics["mean"].float() if self.kind == "gaussian" else posterior.stochastic

    def _after_warm_up(self, prior: Latent, latents: Float[Tensor, "B T Z"]) -> tuple[Latent, Float[Tensor, "N Z"]]:
        return prior.map(lambda part: part[:, self.warm_up :]).flatten(), rearrange(latents[:, self.warm_up :], "b t z -> (b t) z")
