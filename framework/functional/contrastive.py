"""The InfoNCE bound over a matrix of scores, and what the matrix says of itself.

    loss_i     = -f(s_i, o_i) + log sum_j exp(f(s_i, o_j) + w_ij)
    estimate_i = log K_i - loss_i,    K_i: how many candidates i keeps        in nats; at most log K_i where w is a mask

Anchors are rows, candidates are columns, and candidate `i` is the positive of anchor `i`; further columns are extra negatives.
A log-weight `w` of 0 keeps a candidate, -inf leaves it out; the positive's is 0. van den Oord et al. (2018); Poole et al. (2019).
Fixed latents and a sum over observations is Eq. 15 of the note, the row axis; the column axis is the same of the transposed matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from framework.functional.masking import only
from framework.functional.row_blocks import CELLS, row_blocks

Scores = Float[Tensor, "N M"]
Each = Float[Tensor, " N"]


def weighted(scores: Scores, log_weights: Scores) -> Scores:
    """Add the log-weights; what a mask leaves out has neither value nor gradient, whatever its score was."""
    return (scores + log_weights).masked_fill_(log_weights.isneginf(), -torch.inf)


def kept(log_weights: Scores) -> Bool[Tensor, "N M"]:
    """The candidates that have any weight."""
    return ~log_weights.isneginf()


def positives(scores: Scores) -> Bool[Tensor, "N M"]:
    """Where anchor and candidate belong together: the diagonal."""
    return torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)


def how_many(chosen: Bool[Tensor, "N M"]) -> Int[Tensor, " N"]:
    """How many of each row; 32 bits are summed many times as fast as 64, and torch first writes the whole matrix in them."""
    counts = [chosen[rows].sum(dim=1, dtype=torch.int32) for rows in row_blocks(chosen)]
    return counts[0] if len(counts) == 1 else torch.cat(counts)


def log_partition(scores: Scores, log_weights: Scores, cells: int = CELLS) -> Each:
    """`log sum_j exp(f_ij + w_ij)`, in blocks of rows of so many `cells` where the matrix is larger.

    Gradients: the same in both, to the scores and to the weights; the blocks' is computed again from what was given.
    """
    return _partition_and_positive(scores, log_weights, cells)[0]


def infonce_loss(scores: Scores, log_weights: Scores, cells: int = CELLS) -> Each:
    """Which candidate belongs to this anchor?"""
    partition, positive = _partition_and_positive(scores, log_weights, cells)
    return partition - positive


def log_candidates(log_weights: Scores) -> Each:
    """`log K_i`, in nats, of the candidates that have any weight."""
    return how_many(kept(log_weights)).to(log_weights.dtype).log()


def infonce_estimate(scores: Scores, log_weights: Scores) -> Each:
    """`log K_i - loss_i`: its mean bounds the mutual information from below where the weights are a fair selection."""
    return log_candidates(log_weights) - infonce_loss(scores, log_weights)


def alone(log_weights: Scores) -> Bool[Tensor, " N"]:
    """Which anchors keep no candidate beside their positive: nothing is asked of them, and they teach nothing."""
    these = kept(log_weights)
    return how_many(these) == these.diagonal()


@final
@dataclass(frozen=True)
class ContrastiveStats:
    """How each anchor's positive stands among the other candidates that are kept: what every meter is made of, found in one walk."""

    positive: Each
    positive_kept: Bool[Tensor, " N"]
    negatives: Int[Tensor, " N"]
    negative_sum: Each
    highest_negative: Each
    """-inf where there is none."""

    @staticmethod
    def of(scores: Scores, log_weights: Scores, cells: int = CELLS) -> "ContrastiveStats":
        return ContrastiveStats.joined([_standing(scores[rows], log_weights[rows], rows.start) for rows in row_blocks(scores, cells)])

    @staticmethod
    def joined(parts: "Sequence[ContrastiveStats]") -> "ContrastiveStats":
        """Of the anchors of all parts."""
        if len(parts) == 1:
            return parts[0]
        return ContrastiveStats(*(torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])))

    @property
    def log_candidates(self) -> Each:
        return (self.negatives + self.positive_kept).to(self.positive.dtype).log()

    @property
    def alone(self) -> Bool[Tensor, " N"]:
        return self.negatives == 0

    @property
    def hits(self) -> Bool[Tensor, " N"]:
        """Where the positive scores above every other."""
        return self.positive > self.highest_negative

    @property
    def negative_mean(self) -> Float[Tensor, ""]:
        """The mean score over all negatives of all anchors."""
        return self.negative_sum.sum() / self.negatives.sum().clamp(min=1)

    @property
    def largest(self) -> Float[Tensor, ""]:
        """The largest score of any candidate that is kept."""
        return self.highest_negative.maximum(self.positive.masked_fill(~self.positive_kept, -torch.inf)).max()


def accuracy(scores: Scores, log_weights: Scores) -> Float[Tensor, ""]:
    """How often the positive scores above every other candidate that is kept."""
    return ContrastiveStats.of(scores, log_weights).hits.float().mean()


def mean_where(values: Shaped[Tensor, " N"], valid: Bool[Tensor, " N"]) -> Float[Tensor, ""]:
    """The mean over the anchors that count, and 0 where none does."""
    return values.float().where(valid, 0.0).sum() / valid.sum().clamp(min=1)


def share_on(scores: Scores, log_weights: Scores, own: Int[Tensor, " N"], theirs: Int[Tensor, " M"]) -> Float[Tensor, ""]:
    """The softmax mass on negatives of the anchor's own group (its sequence): the meter of false negatives, in [0, 1]."""
    mass = torch.softmax(weighted(scores, log_weights), dim=1)
    same = (own[:, None] == theirs[None, :]) & ~positives(scores)
    return (mass * same).sum(dim=1).mean()


def effective_rank(embedding: Float[Tensor, "N E"]) -> Float[Tensor, ""]:
    """`exp` of the entropy of the normalized singular values (Roy and Vetterli, 2007): 1 is collapse, E is a full space."""
    centered = embedding.float() - embedding.float().mean(dim=0)
    gram = centered.T @ centered if centered.shape[0] > centered.shape[1] else centered @ centered.T
    energy = torch.linalg.eigvalsh(gram)
    rounding = 10 * torch.finfo(energy.dtype).eps * energy.max()
    singular = energy.where(energy > rounding, 0.0).sqrt()
    share = singular / singular.sum().clamp(min=torch.finfo(singular.dtype).tiny)
    return torch.special.entr(share).sum().exp()


def _partition_and_positive(scores: Scores, log_weights: Scores, cells: int) -> tuple[Each, Each]:
    if len(row_blocks(scores, cells)) == 1:
        return torch.logsumexp(weighted(scores, log_weights), dim=1), scores.diagonal()
    return cast("tuple[Tensor, Tensor]", _InBlocks.apply(scores, log_weights, cells))


@final
class _InBlocks(torch.autograd.Function):
    """`log_partition` and the diagonal, of which nothing the size of the matrix is kept for the gradient but what was given.

    By softmax, whose gradient it has: on a CPU torch's `exp`, and so its `logsumexp`, takes ten times as long for shares too small for a
    normal number, which scores have as soon as they are some 90 nats apart. The diagonal is there since a matrix of zeros for its
    gradient alone, and its addition, would cost as much as the partition's own.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, log_weights: Tensor, cells: int) -> tuple[Tensor, Tensor]:
        walk = row_blocks(scores, cells)
        partition = torch.cat([_log_sum(_weighted(scores[rows], log_weights[rows])) for rows in walk])
        ctx.save_for_backward(scores, log_weights, partition)
        ctx.walk = walk
        return partition, scores.diagonal().clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        scores, log_weights, partition = ctx.saved_tensors
        of_partition, of_positive = gradients
        empty = partition.isneginf()
        taught = of_partition.masked_fill(empty, 0.0)[:, None]
        shares = torch.empty_like(scores)
        for rows in ctx.walk:
            values = _weighted(scores[rows], log_weights[rows])
            values[:, 0].masked_fill_(empty[rows], 0.0)  # a row without any share, which is nobody's, gets one that teaches nothing
            torch.mul(torch.softmax(values, dim=1), taught[rows], out=shares[rows])
        of_weights = shares.clone() if ctx.needs_input_grad[1] else None
        shares.diagonal().add_(of_positive)
        return shares, of_weights, None


def _weighted(scores: Scores, log_weights: Scores) -> Scores:
    """`weighted`, without its gradient."""
    return only(scores, kept(log_weights), 0.0).add_(log_weights)


def _log_sum(values: Scores) -> Each:
    """`log sum_j exp v_ij`: the highest, less the logarithm of its share."""
    highest = values.amax(dim=1)
    return (highest - torch.log_softmax(values, dim=1).amax(dim=1)).where(highest.isfinite(), highest)


def _standing(scores: Scores, log_weights: Scores, first: int) -> ContrastiveStats:
    """Of a block of rows whose positives lie on the diagonal that begins at column `first`."""
    negative = kept(log_weights)
    positive_kept = negative.diagonal(first).clone()
    negative.diagonal(first).fill_(False)
    return ContrastiveStats(
        positive=scores.diagonal(first),
        positive_kept=positive_kept,
        negatives=how_many(negative),
        negative_sum=only(scores, negative, 0.0).sum(dim=1),
        highest_negative=only(scores, negative, -torch.inf).amax(dim=1),
    )
