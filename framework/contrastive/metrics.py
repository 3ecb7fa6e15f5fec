"""Metrics of a contrast: per-anchor statistics, their means over valid anchors, and diagnostics."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from framework.contrastive.compatibility import check_some_have_negatives
from framework.contrastive.contrast import Contrast
from framework.data import Metrics
from framework.functional.contrastive import PerAnchor, infonce_loss, log_candidates, mean_where, own_group_mass
from framework.negatives.base import Negatives


@final
@dataclass(frozen=True)
class ContrastiveStats:
    """For each anchor of a contrast: the estimate of its bound, the score of its positive, and statistics of its negatives."""

    estimate: PerAnchor
    positive: PerAnchor
    positive_kept: Bool[Tensor, " N"]
    negatives: Int[Tensor, " N"]
    negative_sum: PerAnchor
    highest_negative: PerAnchor
    """-inf where there is none."""

    @staticmethod
    @torch.no_grad()
    def of(contrast: Contrast, estimate: PerAnchor) -> "ContrastiveStats":
        negative = contrast.negative
        return ContrastiveStats(
            estimate=estimate,
            positive=contrast.scores.diagonal(),
            positive_kept=~contrast.log_weights.diagonal().isneginf(),
            negatives=negative.sum(dim=1),
            negative_sum=contrast.scores.where(negative, 0.0).sum(dim=1),
            highest_negative=contrast.scores.where(negative, -torch.inf).amax(dim=1),
        ).detached()

    @staticmethod
    def joined(parts: "Sequence[ContrastiveStats]") -> "ContrastiveStats":
        """The statistics of the anchors of all parts."""
        return ContrastiveStats(*(torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])))

    def detached(self) -> "ContrastiveStats":
        """Clone, so that no view keeps the scores alive."""
        return ContrastiveStats(*(value.detach().clone() for value in vars(self).values()))

    @property
    def log_candidates(self) -> PerAnchor:
        return (self.negatives + self.positive_kept).to(self.positive.dtype).log()

    def accuracy(self, valid: Bool[Tensor, " N"]) -> Float[Tensor, ""]:
        """The share of valid anchors whose positive scores above every negative, of those that have a negative; 0 where none has."""
        return mean_where(self.positive > self.highest_negative, valid & (self.negatives > 0))

    @property
    def largest(self) -> Float[Tensor, ""]:
        """The largest score of any candidate that is kept."""
        return self.highest_negative.maximum(self.positive.masked_fill(~self.positive_kept, -torch.inf)).max()


def infonce_with_stats(contrast: Contrast) -> tuple[PerAnchor, ContrastiveStats]:
    """The InfoNCE loss of each anchor, and the statistics of the contrast. Gradients: to the loss alone."""
    loss = infonce_loss(contrast.scores, contrast.log_weights)
    return loss, ContrastiveStats.of(contrast, log_candidates(contrast.log_weights) - loss)


@torch.no_grad()
def contrastive_metrics(stats: Sequence[ContrastiveStats], valid: Sequence[Bool[Tensor, " _"]], *, is_lower_bound: bool) -> Metrics:
    """The mean over several contrasts of each metric, averaged over the `valid` anchors of a contrast, which have a positive.

    `is_lower_bound` (1 or 0) stands beside the estimate: whether it bounds the mutual information from below.
    """

    def average(metric: Callable[[ContrastiveStats], Tensor]) -> Tensor:
        return torch.stack([mean_where(metric(each), chosen) for each, chosen in zip(stats, valid, strict=True)]).mean()

    negative_means = [each.negative_sum.sum() / each.negatives.sum().clamp(min=1) for each in stats]
    return {
        "contrastive/estimate": average(lambda each: each.estimate),
        "contrastive/is_lower_bound": torch.full_like(stats[0].estimate[0], float(is_lower_bound)),
        "contrastive/ceiling": average(lambda each: each.log_candidates),
        "contrastive/alone": average(lambda each: each.negatives == 0),
        "contrastive/accuracy": torch.stack([each.accuracy(chosen) for each, chosen in zip(stats, valid, strict=True)]).mean(),
        "contrastive/positive_score": average(lambda each: each.positive),
        "contrastive/negative_score": torch.stack(negative_means).mean(),
        "contrastive/largest_score": torch.stack([each.largest for each in stats]).max(),
    }


def diagnostics(owner: str, negatives: Negatives, contrast: Contrast) -> Metrics:
    """The mass on false negatives. Refuses a batch without any negative."""
    check_some_have_negatives(owner, negatives, contrast)
    rows = contrast.anchors.row, contrast.candidates.row
    return {"contrastive/own_sequence_mass": own_group_mass(contrast.scores, contrast.log_weights, *rows)}
