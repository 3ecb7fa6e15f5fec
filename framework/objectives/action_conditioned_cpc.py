"""TWISTER: latents, told the actions that follow, find what is observed some steps later."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Literal, cast, final

import torch
import torch.nn.functional as F
from dm_env import specs
from einops import rearrange
from jaxtyping import Bool
from torch import Tensor, nn

from framework import objectives
from framework.contrastive.contrast import Contrast
from framework.contrastive.metrics import check_scores_embeddings, check_selects, contrastive_metrics, diagnostics, estimate_key
from framework.contrastive.origin import Origin
from framework.critics.base import Critic
from framework.data import ActionSpec, Factory, InferredBatch, Latent, LatentSpec, Losses, Metrics
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional import contrastive
from framework.functional.random import Key
from framework.negatives.base import Negatives
from framework.objectives.base import Objective


@final
@objectives.register
class ActionConditionedCPC(Objective):
    """`sum_k w_k (-f_k(s_t, a_t .. a_{t+k-1}; y_{t+k}) + log sum_j exp f_k(s_t, ..; y_j))`, `w_k ~ discount^k`, k = 0 .. steps - 1.

    *Learning Transformer-based World Models with Contrastive Predictive Coding* (Burchi & Timofte, 2025): 10 steps, a discount of 0.75,
    the prior's latent as anchor, a critic of its own for each k (two perceptrons of two layers, a dot product), all steps of the batch as
    negatives. The actions join the deterministic part, so that any critic can be bound. `positive` says what is found: the embedding of
    a `second_view`, augmented once more, as in the paper (there the latent drawn from it), the `embedding` that was filtered, or the
    `stochastic` part of its posterior. A pair whose episode ends between counts for nothing; as a candidate the observation stays.

    Gradients: to both sides.
    """

    losses: ClassVar[tuple[str, ...]] = ("action_conditioned_cpc",)

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        observation: Mapping[str, specs.Array],
        action: ActionSpec,
        scale: float = 1.0,
        critic: Factory[Critic],
        negatives: Factory[Negatives],
        steps: int = 10,
        discount: float = 0.75,
        anchor: Literal["prior", "posterior"] = "prior",
        positive: Literal["second_view", "embedding", "stochastic"] = "second_view",
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size, observation=observation, action=action, scale=scale)
        if steps < 1 or not 0 < discount <= 1:
            raise UserError(
                f"ActionConditionedCPC.steps = {steps} must be at least 1, and ActionConditionedCPC.discount = {discount} above 0 and "
                "at most 1."
            )
        self.steps, self.anchor, self.positive = steps, anchor, positive
        self.needs_second_view = positive == "second_view"
        self.weights = [discount**step / sum(discount**each for each in range(steps)) for step in range(steps)]
        sizes = [latent.deterministic + step * action.size for step in range(steps)]
        size = latent.stochastic if positive == "stochastic" else embedding_size
        self.critics = nn.ModuleList([critic(latent=replace(latent, deterministic=each), embedding_size=size) for each in sizes])
        self.negatives: Negatives = negatives()
        check_scores_embeddings("ActionConditionedCPC", cast(Critic, self.critics[0]), anchor)
        check_selects("ActionConditionedCPC", self.negatives)

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        total, estimates, standings, counted = torch.zeros_like(inferred.batch.reward), [], [], []
        for step, (contrast, valid) in enumerate(self._contrasts(inferred, key)):
            found = contrastive.infonce_loss(contrast.scores, contrast.log_weights).where(valid, 0.0)
            total = total + self.weights[step] * F.pad(rearrange(found, "(b t) -> b t", b=total.shape[0]), (0, step))
            with torch.no_grad():
                estimates.append(contrastive.mean_where(contrastive.infonce_estimate(contrast.scores, contrast.log_weights), valid))
                standings.append(contrast.standing)
                counted.append(valid)
        with torch.no_grad():
            metrics = {estimate_key(self.negatives): torch.stack(estimates).mean(), **contrastive_metrics(standings, counted)}
        return {"action_conditioned_cpc": total}, metrics

    def diagnose(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Metrics:
        """Of the same step."""
        contrast, _ = next(self._contrasts(inferred, key))
        return diagnostics("ActionConditionedCPC", self.negatives, contrast, inferred.embedding)

    def _contrasts(self, inferred: InferredBatch, key: Key) -> Iterator[tuple[Contrast, Bool[Tensor, " N"]]]:
        """One contrast for each step ahead, and which of its anchors have a positive in their own episode."""
        positives, episode = self._positives(inferred), inferred.batch.episode
        times = episode.shape[1]
        if times <= self.steps - 1:
            raise UserError(
                f"ActionConditionedCPC.steps = {self.steps}, and sequences are {times} steps long: no step has an observation "
                f"{self.steps - 1} later; bind a longer Replay.length or fewer steps."
            )
        latents = {"prior": inferred.prior, "posterior": inferred.posterior}[self.anchor].without_past()
        for step, critic in enumerate(self.critics):
            anchors = _told(latents.before(times - step), inferred.batch.action, step).flatten()
            scores = critic(anchors, rearrange(positives[:, step:], "b t e -> (b t) e"))
            chosen: Contrast = self.negatives(Contrast.of(scores, Origin.of(episode[:, step:])), key)
            yield chosen, rearrange(episode[:, : times - step] == episode[:, step:], "b t -> (b t)")

    def _positives(self, inferred: InferredBatch) -> Tensor:
        if self.positive == "stochastic":
            return inferred.posterior.stochastic
        if self.positive == "embedding" or inferred.second is None:  # outside of training there is one view alone
            return inferred.embedding
        return inferred.second.embedding


def _told(latents: Latent, action: Tensor, steps: int) -> Latent:
    """The latents of `[B, L]`, with the actions that are taken from each on, so many of them, beside the deterministic part."""
    length = latents.deterministic.shape[1]
    ahead = [action[:, step : step + length] for step in range(1, steps + 1)]
    return replace(latents, deterministic=torch.cat([latents.deterministic, *ahead], dim=-1))
