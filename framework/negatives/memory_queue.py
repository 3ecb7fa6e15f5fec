"""Candidates of earlier updates."""

from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.contrastive.origin import Origin
from framework.data import Factory
from framework.errors import UserError
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class MemoryQueue(Negatives):
    """Adds the newest `size` candidates of earlier updates to the batch, or (`batch = 'drop'`) puts them in its place.

    Without `slow_rate` they keep the embeddings of their time: cross-batch memory (Wang et al., 2020). With one, candidates and queue
    come from a slow copy of the encoder, which moves by that share after each update: MoCo (He et al., 2020; 0.001 there, and no batch).
    While the queue fills, `K_i` grows. Old embeddings are not distributed as new ones: not a lower bound.

    Gradients: none to the queue; none to the candidates either where a slow encoder gives them.
    """

    is_lower_bound: ClassVar[bool] = False
    adds_candidates: ClassVar[bool] = True
    is_stateful: ClassVar[bool] = True
    embeddings: Tensor
    episodes: Tensor
    added: Tensor

    def __init__(
        self,
        *,
        size: int = 4096,
        slow_rate: float | None = None,
        batch: Literal["keep", "drop"] = "keep",
        of: Factory[Negatives] | None = None,
    ) -> None:
        super().__init__(of=of)
        if size < 1:
            raise UserError(f"MemoryQueue.size = {size} holds nothing; bind at least 1.")
        if slow_rate is not None and not 0 < slow_rate <= 1:
            raise UserError(f"MemoryQueue.slow_rate = {slow_rate} is no share of a step; bind a number above 0 and up to 1, or None.")
        inner = super().slow_rate
        if slow_rate is not None and inner not in (None, slow_rate):
            raise UserError(f"MemoryQueue.slow_rate = {slow_rate}, and the strategy in it has {inner}; bind the same, or None.")
        self.size, self.batch, self._slow_rate = size, batch, inner if slow_rate is None else slow_rate
        self.allocate(0)

    @property
    def slow_rate(self) -> float | None:
        return self._slow_rate

    def allocate(self, embedding_size: int) -> None:
        self.register_buffer("embeddings", torch.zeros(self.size, embedding_size))
        self.register_buffer("episodes", torch.full((self.size,), -1))
        self.register_buffer("added", torch.zeros((), dtype=torch.long))

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        self.source_of(contrast)
        base = contrast if self.batch == "keep" else contrast.without_batch()
        filled = torch.arange(self.size, device=self.added.device) < self.added
        return base.join(self.embeddings, self.episodes, filled)

    @torch.no_grad()
    def after_update(self, embeddings: Float[Tensor, "N E"], origin: Origin) -> None:
        newest, episodes = embeddings[-self.size :], origin.episode[-self.size :]
        places = (self.added + torch.arange(newest.shape[0], device=self.added.device)) % self.size
        self.embeddings.index_copy_(0, places, newest.to(self.embeddings.dtype))
        self.episodes.index_copy_(0, places, episodes)
        self.added.add_(newest.shape[0])
