"""The contrast of each anchor with its candidates: what passes between critics, negative-sampling strategies and bounds.

Anchors are rows, candidates are columns, and candidate `i` is the positive of anchor `i`; further columns are extra negatives. On the
column axis of an objective latents and observations swap roles before a contrast is made, so that strategies and bounds see rows only.
A large batch comes in blocks of anchors, and the batch of several ranks has the anchors of each on that rank: nothing may depend on their
number or order; `Origin` has the place of each.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from framework.contrastive.origin import Origin
from framework.data import ExtraCandidates, Latent, Record
from framework.functional.contrastive import kept, positives
from framework.functional.masking import log_mask
from framework.functional.random import Key, uniform_at

Axis = Literal["row", "column"]
"""Which side is fixed: the latent (row), as in *Dream to Control*, Appendix B, or the observation (column)."""


@dataclass(frozen=True)
class UnitVectors:
    """Unit vectors of both sides, where the critic is `scale * <latent, candidate>`."""

    latents: Float[Tensor, "N S"]
    candidates: Float[Tensor, "M S"]
    scale: Float[Tensor, ""]


@dataclass(frozen=True)
class Source:
    """The inputs of the scores, for strategies that add candidates.

    `score` is the critic, `score_pairs` scores one candidate for each latent, and `units` gives the unit vectors of a `UnitCritic`.
    `action` and `is_first` are those of every step of the batch, the anchors' first; `reward` is that of each candidate's step, of those in
    the batch; `predict` is the prior at each anchor's step under another action, which has no effect where `is_first`. These are None where
    there is no world model.
    """

    latents: Latent
    embeddings: Float[Tensor, "M E"]
    score: Callable[[Latent, Tensor], Tensor]
    score_pairs: Callable[[Latent, Tensor], Tensor]
    units: Callable[[Latent, Tensor], UnitVectors] | None = None
    extra: ExtraCandidates | None = None
    action: Float[Tensor, "N A"] | None = None
    is_first: Bool[Tensor, " N"] | None = None
    reward: Float[Tensor, " R"] | None = None
    predict: Callable[[Tensor, Origin], Latent] | None = None

    def block(self, rows: slice) -> "Source":
        """A block of the anchors, with all candidates rolled so that they begin with those of the block."""
        return replace(
            self,
            latents=self.latents.map(lambda part: part[rows]),
            embeddings=self.embeddings.roll(-rows.start, dims=0),
            action=None if self.action is None else self.action.roll(-rows.start, dims=0),
            is_first=None if self.is_first is None else self.is_first.roll(-rows.start, dims=0),
            reward=None if self.reward is None else self.reward.roll(-rows.start, dims=0),
        )


@dataclass(frozen=True, repr=False)
class Contrast(Record):
    """Float32 scores `f(s_i, o_j)` and log-weights `w_ij`: 0 keeps a candidate, -inf leaves it out, the positive has 0."""

    scores: Float[Tensor, "N M"]
    log_weights: Float[Tensor, "N M"]
    anchors: Origin
    candidates: Origin
    source: Source | None = None

    @staticmethod
    def of(scores: Float[Tensor, "N M"], origin: Origin, source: Source | None = None) -> "Contrast":
        """All candidates kept. `origin` is that of the candidates, the first of which belong to the anchors."""
        size, candidates = scores.shape
        anchors = origin if size == candidates else origin.map(lambda place: place[:size])
        weights = scores.new_zeros(()).expand_as(scores)
        return Contrast(scores=scores, log_weights=weights, anchors=anchors, candidates=origin, source=source)

    @property
    def positive(self) -> Bool[Tensor, "N M"]:
        """Where anchor and candidate belong together."""
        return positives(self.scores)

    @property
    def negative(self) -> Bool[Tensor, "N M"]:
        """The candidates that are kept and are not the positive."""
        return kept(self.log_weights) & ~self.positive

    def uniform(self, key: Key) -> Float[Tensor, "N M"]:
        """A number in [0, 1) for each pair, whichever block or rank it is in."""
        return uniform_at(key, self.anchors.place[:, None] * self.scores.shape[1] + self.candidates.place[None, :])

    def uniform_of_anchors(self, key: Key, count: int) -> Float[Tensor, "N K"]:
        """Numbers in [0, 1) for each anchor, whichever block or rank it is in."""
        return uniform_at(key, self.anchors.place[:, None] * count + torch.arange(count, device=key.device)[None, :])

    def keep(self, chosen: Bool[Tensor, "N M"]) -> "Contrast":
        """Leave out all other candidates except the positive."""
        return replace(self, log_weights=self.log_weights.masked_fill(~(chosen | self.positive), -torch.inf))

    def without_batch(self) -> "Contrast":
        """Leave out the steps of the batch, except the positive; candidates from elsewhere stay."""
        return self.keep((self.candidates.row < 0)[None].expand_as(self.scores))

    def weigh(self, log_weights: Float[Tensor, "N M"]) -> "Contrast":
        """Multiply the weights; candidates that are left out stay out."""
        return replace(self, log_weights=self.log_weights + log_weights)

    def join(self, embeddings: Float[Tensor, "X E"], episode: Int[Tensor, " X"], valid: Bool[Tensor, " X"]) -> "Contrast":
        """Add candidates that all anchors share, kept where `valid`. They have no row or time in the batch (-1)."""
        assert self.source is not None
        scores = self.source.score(self.source.latents, embeddings)
        source = replace(self.source, embeddings=torch.cat([self.source.embeddings, embeddings]))
        return replace(self._extended(scores, log_mask(valid.expand_as(scores)), episode), source=source)

    def append(self, scores: Float[Tensor, "N X"], log_weights: Float[Tensor, "N X"]) -> "Contrast":
        """Add the scores of candidates of each anchor's own. They have neither a place nor an episode (-1)."""
        return self._extended(scores, log_weights, self.candidates.episode.new_full((scores.shape[1],), -1))

    def _extended(self, scores: Tensor, log_weights: Tensor, episode: Tensor) -> "Contrast":
        return replace(
            self,
            scores=torch.cat([self.scores, scores], dim=1),
            log_weights=torch.cat([self.log_weights, log_weights], dim=1),
            candidates=self.candidates.followed_by(episode),
        )
