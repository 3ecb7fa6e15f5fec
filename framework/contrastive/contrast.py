"""What stands against each anchor of a contrast: the arrow between critics, negative-sampling strategies and bounds.

Anchors are rows, candidates are columns, and candidate `i` is the positive of anchor `i`; further columns are extra negatives. Along
the column axis of an objective the roles are swapped before a contrast is made, so that strategies and bounds see rows alone. Of a
large batch the anchors may be one block alone: nothing is to be made of their number or order, `Origin` says where each is from.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from framework.contrastive.origin import Origin
from framework.data import ExtraCandidates, Latent
from framework.functional.contrastive import ContrastiveStats, kept
from framework.functional.masking import log_mask

Axis = Literal["row", "column"]
"""Which side is fixed: the latent, as in Eq. 15, or the observation."""


@dataclass(frozen=True)
class UnitVectors:
    """Unit vectors of both sides, where the critic is `scale * <latent, candidate>`."""

    latents: Float[Tensor, "N S"]
    candidates: Float[Tensor, "M S"]
    scale: Float[Tensor, ""]


@dataclass(frozen=True)
class Source:
    """What the scores were made from, for strategies that add candidates.

    `score` is the critic, `score_pairs` the same of one candidate for each latent, and `units` its unit vectors, where it has such (a
    `UnitCritic`). `action` and `is_first` are those of every step of the batch, the anchors' first; `predict` gives the prior at each
    anchor's step had another action led to it, which is the same where `is_first`. These are None where there is no world model (as in
    the laboratory's sources).
    """

    latents: Latent
    embeddings: Float[Tensor, "M E"]
    score: Callable[[Latent, Tensor], Tensor]
    score_pairs: Callable[[Latent, Tensor], Tensor]
    units: Callable[[Latent, Tensor], UnitVectors] | None = None
    extra: ExtraCandidates | None = None
    action: Float[Tensor, "N A"] | None = None
    is_first: Bool[Tensor, " N"] | None = None
    predict: Callable[[Tensor, Origin], Latent] | None = None

    def block(self, rows: slice) -> "Source":
        """Some of the anchors, and all candidates in a circle from the anchors' own on."""

        def turned(steps: Tensor) -> Tensor:
            return steps.roll(-rows.start, dims=0)

        return replace(
            self,
            latents=self.latents.map(lambda part: part[rows]),
            embeddings=turned(self.embeddings),
            action=None if self.action is None else turned(self.action),
            is_first=None if self.is_first is None else turned(self.is_first),
        )


@dataclass(frozen=True)
class Contrast:
    """Float32 scores `f(s_i, o_j)` and log-weights `w_ij`: 0 keeps a candidate, -inf leaves it out, the positive has 0."""

    scores: Float[Tensor, "N M"]
    log_weights: Float[Tensor, "N M"]
    anchors: Origin
    candidates: Origin
    source: Source | None = None

    @staticmethod
    def of(scores: Float[Tensor, "N M"], origin: Origin, source: Source | None = None) -> "Contrast":
        """Every candidate kept: one zero, seen as a matrix. `origin` is that of the candidates, of which the first are the anchors'."""
        size, candidates = scores.shape
        anchors = origin if size == candidates else origin.map(lambda each: each[:size])
        weights = scores.new_zeros(()).expand_as(scores)
        return Contrast(scores=scores, log_weights=weights, anchors=anchors, candidates=origin, source=source)

    @property
    def positive(self) -> Bool[Tensor, "N M"]:
        """Where anchor and candidate belong together."""
        return torch.eye(*self.scores.shape, dtype=torch.bool, device=self.scores.device)

    @property
    def negative(self) -> Bool[Tensor, "N M"]:
        """The candidates that are kept and are not the positive."""
        these = kept(self.log_weights)
        these.diagonal().fill_(False)
        return these

    @property
    def standing(self) -> ContrastiveStats:
        """How the positives stand, which is what meters are made of."""
        return ContrastiveStats.of(self.scores, self.log_weights)

    def keep(self, chosen: Bool[Tensor, "N M"]) -> "Contrast":
        """Leave out the other candidates; a positive always stays."""
        log_weights = log_mask(chosen).add_(self.log_weights)
        log_weights.diagonal().copy_(self.log_weights.diagonal())
        return replace(self, log_weights=log_weights)

    def without_batch(self) -> "Contrast":
        """Leave out the batch itself: of it the positive alone stays, and what was added from elsewhere."""
        return self.keep((self.candidates.row < 0)[None].expand_as(self.scores))

    def weigh(self, log_weights: Float[Tensor, "N M"]) -> "Contrast":
        """Multiply the weights; what was left out stays out."""
        return replace(self, log_weights=self.log_weights + log_weights)

    def join(self, embeddings: Float[Tensor, "X E"], episode: Int[Tensor, " X"], kept: Bool[Tensor, " X"]) -> "Contrast":
        """Add candidates that all anchors share. They have no row or time in the batch (-1)."""
        assert self.source is not None
        scores = self.source.score(self.source.latents, embeddings)
        weights = log_mask(kept.expand_as(scores))
        source = replace(self.source, embeddings=torch.cat([self.source.embeddings, embeddings]))
        return replace(self._beside(scores, weights, episode), source=source)

    def append(self, scores: Float[Tensor, "N X"], log_weights: Float[Tensor, "N X"]) -> "Contrast":
        """Add candidates of each anchor's own, with their scores. They have neither a place nor an episode (-1)."""
        return self._beside(scores, log_weights, self.candidates.episode.new_full((scores.shape[1],), -1))

    def _beside(self, scores: Tensor, log_weights: Tensor, episode: Tensor) -> "Contrast":
        return replace(
            self,
            scores=torch.cat([self.scores, scores], dim=1),
            log_weights=torch.cat([self.log_weights, log_weights], dim=1),
            candidates=self.candidates.followed_by(episode),
        )
