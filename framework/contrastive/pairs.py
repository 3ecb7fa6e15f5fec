"""Positive pairs of a batch before any score, and their evaluation: as one contrast, or in blocks of anchors.

A block is a contrast with fewer rows, whose candidates begin with those of its anchors: positives lie on the diagonal, and strategies and
bounds treat it as any other contrast. Its scores are computed again for the gradient, so that only one block of them is in memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from framework.contrastive.contrast import Axis, Contrast, Source
from framework.contrastive.metrics import ContrastiveStats
from framework.contrastive.origin import Origin
from framework.critics.base import Critic
from framework.data import InferredBatch, Latent
from framework.dynamics.base import Dynamics
from framework.functional.random import Key

Evaluation = tuple[Float[Tensor, " N"], ContrastiveStats]
"""The loss of each anchor, and the statistics of its contrast."""
SHARE: Final = 4
"""The scores of one block are at most this fraction of the largest matrix that is allowed, since several matrices of its size exist at
once (scores, weights, gradients)."""


@final
@dataclass(frozen=True)
class PositivePairs:
    """Anchors and at least as many candidates: candidate `i` is the positive of anchor `i`, where that is `valid`.

    More candidates are those of other ranks. `source` has the candidates of each axis, and `origin` is theirs.
    """

    critic: Critic
    source: Source
    origin: Origin
    valid: Bool[Tensor, " N"]

    @cached_property
    def scores(self) -> Float[Tensor, "N N"]:
        """All scores, shared by both axes."""
        scores: Tensor = self.critic(self.source.latents, self.source.embeddings)
        return scores

    def contrast(self, axis: Axis, rows: slice) -> Contrast:
        """A block of anchors against all candidates, rolled so that they begin with the anchors' own."""
        if rows == slice(0, self.origin.row.shape[0]):
            return Contrast.of(self.scores, self.origin, self.source) if axis == "row" else Contrast.of(self.scores.T, self.origin)

        def rolled(steps: Tensor) -> Tensor:
            return steps.roll(-rows.start, dims=0)

        origin = self.origin.map(rolled)
        if axis == "column":
            return Contrast.of(self.critic(self.source.latents.map(rolled), self.source.embeddings[rows]).T, origin)
        source = self.source.block(rows)
        return Contrast.of(self.critic(source.latents, source.embeddings), origin, source)


def blocks_of(anchors: int, candidates: int, chunk_above: int) -> list[slice]:
    """Rows of anchors, each block of at most `chunk_above^2 / SHARE` scores against the candidates."""
    size = max(1, chunk_above**2 // SHARE // candidates)
    return [slice(first, min(first + size, anchors)) for first in range(0, anchors, size)]


def evaluate_in_blocks(
    function: Callable[[Contrast, Key], Evaluation], pairs: PositivePairs, axis: Axis, blocks: Sequence[slice], key: Key
) -> Evaluation:
    """The evaluations of all blocks, joined. All have one key: a contrast draws a number for each pair, whichever block it is in."""

    def of_block(rows: slice) -> Evaluation:
        return function(pairs.contrast(axis, rows), key)

    parts = [checkpoint(of_block, rows, use_reentrant=False, preserve_rng_state=False) for rows in blocks]
    losses, stats = zip(*parts, strict=True)
    return torch.cat(losses), ContrastiveStats.joined(stats)


def predict(inferred: InferredBatch, dynamics: Dynamics, action: Float[Tensor, "N A"], steps: Origin) -> Latent:
    """The prior at some steps of this rank's batch under other actions: `p(s_t | s_{t-1}, a)`, at its mean. First steps have no action."""
    row = steps.row % inferred.batch.reward.shape[0]  # rows are numbered over all ranks, and each has as many
    is_first = inferred.batch.is_first[row, steps.time]
    before = inferred.posterior.map(lambda part: part[row, steps.time - 1])
    before = dynamics.initial(action.shape[0]).where((is_first | (steps.time == 0))[:, None], before)
    return dynamics.imagine_step(before, action.masked_fill(is_first[:, None], 0.0), torch.zeros_like(before.stochastic))
