"""Independent draws from the replay: the true marginal."""

from typing import ClassVar, Literal, final

import torch

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class ReplayNegatives(Negatives):
    """Replaces the other steps of a batch by its `Replay.extra_candidates` steps, or (`batch = 'keep'`) adds them.

    They are drawn one by one, uniformly from the whole replay: independent of the anchors and of each other, as the bound of van den
    Oord et al. (2018) assumes and a batch of sequences only approximates. An exact lower bound, `K = extra + 1`.

    Gradients: to the draws as to every candidate.
    """

    adds_candidates: ClassVar[bool] = True

    def __init__(self, *, batch: Literal["keep", "drop"] = "drop", of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        self.batch = batch

    def check(self, *, candidates: int, extra: int) -> None:
        if not extra:
            raise UserError(
                "ReplayNegatives needs steps of their own from the replay; bind Replay.extra_candidates = 256, or another number."
            )

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        source = self.source_of(contrast)
        extra = source.extra
        assert extra is not None
        if extra.embedding.shape[1] != source.embeddings.shape[1]:
            raise UserError("ReplayNegatives draws observations, and this critic scores against latents; bind another InfoNCE.critic.")
        base = contrast if self.batch == "keep" else contrast.without_batch()
        return base.join(extra.embedding, extra.episode, torch.ones_like(extra.episode, dtype=torch.bool))
