"""Metrics of a contrast: per-anchor statistics, their means over valid anchors, and diagnostics."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from framework.contrastive.compatibility import check_some_have_negatives
from framework.contrastive.contrast import Contrast
from framework.data import Metrics
from framework.functional import ranks
from framework.functional.contrastive import PerAnchor, infonce_loss, log_candidates, mean_where, own_group_mass
from framework.negatives.base import Negatives

OF_ANCHORS: Final = ("contrastive/ceiling", "contrastive/alone", "contrastive/accuracy", "contrastive/positive_score")


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

    @property
    def of_anchors(self) -> Float[Tensor, "K N"]:
        """The estimate of each anchor, and the numbers that `OF_ANCHORS` names."""
        is_alone, is_accurate = (self.negatives == 0).float(), (self.positive > self.highest_negative).float()
        return torch.stack([self.estimate, self.log_candidates, is_alone, is_accurate, self.positive])

    @property
    def largest(self) -> Float[Tensor, ""]:
        """The largest score of any candidate that is kept."""
        return self.highest_negative.maximum(self.positive.masked_fill(~self.positive_kept, -torch.inf)).max()


def infonce_with_stats(contrast: Contrast) -> tuple[PerAnchor, ContrastiveStats]:
    """The InfoNCE loss of each anchor, and the statistics of the contrast. Gradients: to the loss alone."""
    loss = infonce_loss(contrast.scores, contrast.log_weights)
    return loss, ContrastiveStats.of(contrast, log_candidates(contrast.log_weights) - loss)


@torch.no_grad()
def contrastive_metrics(estimate_key: str, stats: Sequence[ContrastiveStats], valid: Sequence[Bool[Tensor, " _"]]) -> Metrics:
    """The mean over several contrasts of each metric, averaged over the `valid` anchors of a contrast, which have a positive.

    The anchors are those of all ranks.
    """
    averages = torch.stack([mean_where(each.of_anchors, chosen) for each, chosen in zip(stats, valid, strict=True)]).mean(dim=0)
    sums = ranks.sum_of_all(torch.stack([torch.stack([each.negative_sum.sum(), each.negatives.sum()]) for each in stats]))
    return dict(zip((estimate_key, *OF_ANCHORS), averages.unbind(), strict=True)) | {
        "contrastive/negative_score": (sums[:, 0] / sums[:, 1].clamp(min=1)).mean(),
        "contrastive/largest_score": ranks.largest_of_all(torch.stack([each.largest for each in stats]).max()),
    }


def bound_suffix(negatives: Negatives, side: str | None) -> str:
    """The end of the name of an estimate: it marks what may lie above the mutual information."""
    if side == "upper":
        return "_upper_bound"
    return "" if negatives.bounds_below() and side == "lower" else "_no_bound"


def diagnostics(owner: str, negatives: Negatives, contrast: Contrast) -> Metrics:
    """The mass on false negatives. Refuses a batch without any negative."""
    check_some_have_negatives(owner, negatives, contrast)
    rows = contrast.anchors.row, contrast.candidates.row
    return {"contrastive/own_sequence_mass": own_group_mass(contrast.scores, contrast.log_weights, *rows)}
