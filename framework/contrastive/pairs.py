"""Latents and what they are told apart from, before any score: made into one contrast, or into one for each block of anchors.

A block is a contrast as any other, with fewer rows: its candidates begin with its anchors' own, so that positives lie on the diagonal, and
no strategy and no bound needs to know of blocks. Its scores are computed where they are needed, and again for the gradient: of all
blocks but the one that is looked at, nothing is held but some numbers of each anchor.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from framework.contrastive.contrast import Axis, Contrast, Source
from framework.contrastive.origin import Origin
from framework.critics.base import Critic
from framework.data import Latent
from framework.functional.contrastive import ContrastiveStats
from framework.functional.random import Key, fold_in

Make = Callable[[], Contrast]
Told = tuple[Float[Tensor, " N"], Float[Tensor, " N"], ContrastiveStats]
"""Of each anchor: the loss, the estimate, and how its positive stands."""
SHARE: Final = 4
"""How many blocks together have as many scores as one matrix may have. Several matrices of a block's size live at once (scores, weights,
the gradient, that of the positives): together they are about one that is allowed. Each block makes the critic look at all candidates
again, and so smaller ones cost time."""
BLOCK: Final = 1 << 20
"""What blocks draw from is not what strategies draw from."""


@final
@dataclass(frozen=True)
class Pairs:
    """Anchors, and as many candidates: candidate `i` is the positive of anchor `i`, where that is `valid`."""

    offset: int
    critic: Critic
    latents: Latent
    embeddings: Float[Tensor, "N E"]
    origin: Origin
    valid: Bool[Tensor, " N"]
    source: Callable[[], Source]

    def contrasts(self, axes: Sequence[Axis], blocks: Sequence[slice]) -> Iterator[list[Make]]:
        """For each axis, what makes the contrast of each block of anchors. One block is the whole, of scores that all axes share."""
        if len(blocks) > 1:
            for axis in axes:
                yield [partial(self.block, axis, rows) for rows in blocks]
            return
        scores = self.critic(self.latents, self.embeddings)
        for axis in axes:
            directed, source = (scores, self.source()) if axis == "row" else (scores.T, None)
            yield [partial(Contrast.of, directed, self.origin, source)]

    def block(self, axis: Axis, rows: slice) -> Contrast:
        """Some of the anchors against all candidates, which go around from the anchors' own on."""

        def turned(steps: Tensor) -> Tensor:
            return steps.roll(-rows.start, dims=0)

        origin = self.origin.map(turned)
        if axis == "column":
            return Contrast.of(self.critic(self.latents.map(turned), self.embeddings[rows]).T, origin)
        source = self.source().block(rows)
        return Contrast.of(self.critic(source.latents, source.embeddings), origin, source)


def blocks_of(anchors: int, most: int) -> list[slice]:
    """Rows of anchors, each block of at most `most^2 / SHARE` scores against as many candidates as there are anchors."""
    size = max(1, most**2 // SHARE // anchors)
    return [slice(first, min(first + size, anchors)) for first in range(0, anchors, size)]


def tell(weigh: Callable[[Make, Key], Told], blocks: Sequence[Make], key: Key) -> Told:
    """What `weigh` says of the anchors of each block, joined; several blocks one after the other, and again for the gradient.

    Each block draws from a seed of its own, the first from `key` itself: what is drawn is not what would be drawn for all anchors at
    once, and follows the same law.
    """
    if len(blocks) == 1:
        return weigh(blocks[0], key)
    seeds = [key if number == 0 else fold_in(key, BLOCK + number) for number in range(len(blocks))]
    told = [
        checkpoint(_apart, weigh, make, own, use_reentrant=False, preserve_rng_state=False) for make, own in zip(blocks, seeds, strict=True)
    ]
    losses, estimates, standings = zip(*told, strict=True)
    return torch.cat(losses), torch.cat(estimates), ContrastiveStats.joined(standings)


def _apart(weigh: Callable[[Make, Key], Told], make: Make, key: Key) -> Told:
    """In memory of their own: a view of the scores would hold them."""
    loss, estimate, standing = weigh(make, key)
    with torch.no_grad():
        return loss, estimate.clone(), ContrastiveStats(*(each.clone() for each in vars(standing).values()))
