"""TWISTER: latents and the actions that follow predict what is observed some steps later."""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Final, Literal, cast, final

import torch
from einops import rearrange
from jaxtyping import Bool
from torch import Tensor, nn

from framework import objectives
from framework.contrastive.compatibility import check_batch, check_selecting
from framework.contrastive.contrast import Contrast
from framework.contrastive.metrics import contrastive_metrics, diagnostics, infonce_with_stats
from framework.contrastive.origin import Origin
from framework.critics.base import Critic
from framework.data import Factory, InferredBatch, Latent, Losses, Metrics
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional import ranks
from framework.functional.random import Key
from framework.negatives.base import Negatives
from framework.objectives.base import Objective, of_pairs, same_episode
from framework.specs import ModelSpecs

MOST_STEPS: Final = 1_000


@final
@objectives.register
class ActionConditionedCPC(Objective):
    """`sum_k w_k (-f_k(s_t, a_t .. a_{t+k-1}; y_{t+k}) + log sum_j exp f_k(s_t, ..; y_j))`, `w_k ~ discount^k`, k = 0 .. steps - 1.

    *Learning Transformer-based World Models with Contrastive Predictive Coding* (Burchi & Timofte, 2025): 10 steps, a discount of 0.75,
    the prior's latent as anchor, a critic of its own for each k (two perceptrons of two layers, a dot product), all steps of the batch as
    negatives. The actions are appended to the deterministic part, so that any critic can be bound. `positive` is the target: the embedding
    of a `second_view`, augmented once more, as in the paper (there the latent drawn from it), the `embedding` of the posterior, or the
    `stochastic` part of the posterior. A pair across the end of an episode has no loss, and each k is averaged over its pairs; as a
    candidate the observation stays. Where several ranks train, the targets of all are candidates (`gather`), or those of an own rank.

    Gradients: to both sides.
    """

    losses: ClassVar[tuple[str, ...]] = ("action_conditioned_cpc",)

    def __init__(
        self,
        *,
        model: ModelSpecs,
        scale: float = 1.0,
        critic: Factory[Critic],
        negatives: Factory[Negatives],
        steps: int = 10,
        discount: float = 0.75,
        anchor: Literal["prior", "posterior"] = "prior",
        positive: Literal["second_view", "embedding", "stochastic"] = "second_view",
        gather: bool = True,
    ) -> None:
        super().__init__(model=model, scale=scale)
        if not 1 <= steps <= MOST_STEPS or not 0 < discount <= 1:
            raise UserError(
                f"ActionConditionedCPC.steps = {steps} must be between 1 and {MOST_STEPS}, and ActionConditionedCPC.discount = {discount} "
                "above 0 and at most 1."
            )
        self.steps, self.anchor, self.positive, self.gather = steps, anchor, positive, gather
        self.reach = ("steps", steps - 1)
        self.needs_second_view = positive == "second_view"
        self.weights = [discount**step / sum(discount**each for each in range(steps)) for step in range(steps)]
        sizes = [model.latent.deterministic + step * model.action.size for step in range(steps)]
        size = model.latent.stochastic if positive == "stochastic" else model.embedding_size
        self.critics = nn.ModuleList([critic(latent=replace(model.latent, deterministic=each), embedding_size=size) for each in sizes])
        self.negatives: Negatives = negatives()
        check_selecting("ActionConditionedCPC", cast(Critic, self.critics[0]), self.negatives, anchor)

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        total, stats, valid = torch.zeros_like(inferred.batch.reward), [], []
        for step, (contrast, inside) in enumerate(self._contrasts(inferred, key)):
            loss, anchor_stats = infonce_with_stats(contrast)
            of_rows, valid_rows = (rearrange(each, "(b t) -> b t", b=total.shape[0]) for each in (loss, inside))
            total = total + self.weights[step] * of_pairs(of_rows, valid_rows, step)
            stats.append(anchor_stats)
            valid.append(inside)
        return {"action_conditioned_cpc": total}, contrastive_metrics(stats, valid, is_lower_bound=self.is_lower_bound)

    @property
    def is_lower_bound(self) -> bool:
        return self.negatives.bounds_below()

    def check(self, *, rows: int, times: int, extra: int) -> None:
        self.check_length(times)
        rows *= ranks.size() if self.gather else 1
        check_batch("ActionConditionedCPC", self.negatives, rows=rows, times=times - self.steps + 1, extra=extra)

    def diagnose(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Metrics:
        """The diagnostics of the contrast of step 0."""
        contrast, _ = next(self._contrasts(inferred, key))
        return diagnostics("ActionConditionedCPC", self.negatives, contrast)

    def _contrast(self, inferred: InferredBatch, dynamics: Dynamics | None, key: Key) -> Contrast:
        return next(self._contrasts(inferred, key))[0]

    def _contrasts(self, inferred: InferredBatch, key: Key) -> Iterator[tuple[Contrast, Bool[Tensor, " N"]]]:
        """The contrast of each step ahead, and which of its anchors have a positive in their own episode."""
        positives, episode = self._positives(inferred), inferred.batch.episode
        latents = {"prior": inferred.prior, "posterior": inferred.posterior}[self.anchor].without_past()
        for step, critic in enumerate(self.critics):
            anchors = _with_actions(latents.before(episode.shape[1] - step), inferred.batch.action, step).flatten()
            candidates, origin = rearrange(positives[:, step:], "b t e -> (b t) e"), Origin.of(episode[:, step:])
            if self.gather:
                candidates, origin = ranks.gather_own_first(candidates), origin.of_all_ranks()
            contrast: Contrast = self.negatives(Contrast.of(critic(anchors, candidates), origin), key)
            yield contrast, rearrange(same_episode(episode, step), "b t -> (b t)")

    def _positives(self, inferred: InferredBatch) -> Tensor:
        if self.positive == "stochastic":
            return inferred.posterior.stochastic
        if self.positive == "embedding" or inferred.second is None:  # outside of training there is one view only
            return inferred.embedding
        return inferred.second.embedding


def _with_actions(latents: Latent, action: Tensor, steps: int) -> Latent:
    """The latents of `[B, L]` with the next `steps` actions after each appended to the deterministic part."""
    length = latents.deterministic.shape[1]
    ahead = [action[:, step : step + length] for step in range(1, steps + 1)]
    return replace(latents, deterministic=torch.cat([latents.deterministic, *ahead], dim=-1))
