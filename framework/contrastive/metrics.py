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

OF_ANCHORS: Final = ("contrastive/estimate", "contrastive/ceiling", "contrastive/alone", "contrastive/positive_score")


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
    def of_anchors(self) -> Float[Tensor, "K N"]:
        """The numbers of each anchor that `OF_ANCHORS` names."""
        return torch.stack([self.estimate, self.log_candidates, (self.negatives == 0).float(), self.positive])

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

    The anchors are those of all ranks. `is_lower_bound` (1 or 0) stands beside the estimate: whether it bounds the mutual information
    from below.
    """
    averages = torch.stack([mean_where(each.of_anchors, chosen) for each, chosen in zip(stats, valid, strict=True)]).mean(dim=0)
    accuracies = torch.stack([each.accuracy(chosen) for each, chosen in zip(stats, valid, strict=True)])
    sums = ranks.sum_of_all(torch.stack([torch.stack([each.negative_sum.sum(), each.negatives.sum()]) for each in stats]))
    return dict(zip(OF_ANCHORS, averages.unbind(), strict=True)) | {
        "contrastive/is_lower_bound": torch.full_like(averages[0], float(is_lower_bound)),
        "contrastive/accuracy": accuracies.mean(),
        "contrastive/negative_score": (sums[:, 0] / sums[:, 1].clamp(min=1)).mean(),
        "contrastive/largest_score": ranks.largest_of_all(torch.stack([each.largest for each in stats]).max()),
    }


def diagnostics(owner: str, negatives: Negatives, contrast: Contrast) -> Metrics:
    """The mass on false negatives. Refuses a batch without any negative."""
    check_some_have_negatives(owner, negatives, contrast)
    rows = contrast.anchors.row, contrast.candidates.row
    return {"contrastive/own_sequence_mass": own_group_mass(contrast.scores, contrast.log_weights, *rows)}
