"""Synthetic hard negatives, mixed from observed ones."""

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from framework import negatives
from framework.contrastive.contrast import Contrast, UnitVectors
from framework.data import Factory
from framework.errors import UserError
from framework.functional.random import Key, fold_in
from framework.negatives.base import Negatives


@final
@negatives.register
class MoCHi(Negatives):
    """Adds, for every anchor `q`, unit vectors between its `hardest` negatives `n`, and between those and itself.

        mixed        norm(a n_i + (1 - a) n_j),   a uniform in (0, 1)
        with_anchor  norm(b q   + (1 - b) n),     b uniform in (0, 1/2)

    Kalantidis et al. (2020), *Hard negative mixing for contrastive learning* (MoCHi). For critics of unit vectors (`CosineCritic`). The
    mixtures are no observations: not a lower bound.

    Gradients: the new vectors are detached, in `n` and in `q`; their scores have gradients to the anchor and the temperature.
    """

    is_lower_bound: ClassVar[bool] = False
    adds_candidates: ClassVar[bool] = True
    needs_units: ClassVar[bool] = True

    def __init__(
        self,
        *,
        hardest: int = 64,
        mixed: int = 16,
        with_anchor: int = 8,
        of: Factory[Negatives] | None = None,
    ) -> None:
        super().__init__(of=of)
        if hardest < 1 or mixed < 0 or with_anchor < 0 or mixed + with_anchor < 1:
            raise UserError(
                f"MoCHi.hardest = {hardest}, MoCHi.mixed = {mixed} and MoCHi.with_anchor = {with_anchor} mix nothing; "
                "bind at least 1 hardest, and at least 1 mixed or with_anchor."
            )
        self.hardest, self.mixed, self.with_anchor = hardest, mixed, with_anchor

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        units = self._units(contrast)
        negative, hardest = contrast.negative, min(self.hardest, contrast.scores.shape[1])
        order = contrast.scores.detach().masked_fill(~negative, -torch.inf).topk(hardest, dim=1).indices
        available = negative.sum(dim=1).clamp(max=hardest)

        def hard(purpose: int, count: int) -> Float[Tensor, "N C S"]:
            return units.candidates[_pick(order, available, contrast.uniform_of_anchors(fold_in(key, purpose), count))].detach()

        def between(one: Tensor, other: Tensor, share: Float[Tensor, "N C"]) -> Float[Tensor, "N C S"]:
            return F.normalize(share[..., None] * one + (1 - share[..., None]) * other, dim=-1)

        own = units.latents.detach()[:, None].expand(-1, self.with_anchor, -1)
        pairs = between(hard(2, self.mixed), hard(3, self.mixed), contrast.uniform_of_anchors(fold_in(key, 4), self.mixed))
        with_anchor = between(own, hard(5, self.with_anchor), contrast.uniform_of_anchors(fold_in(key, 6), self.with_anchor) / 2)
        new = torch.cat([pairs, with_anchor], dim=1)
        scores = units.scale * (units.latents[:, None] * new).sum(dim=-1)
        return contrast.append(scores, torch.zeros_like(scores).masked_fill(available[:, None] == 0, -torch.inf))

    def _units(self, contrast: Contrast) -> UnitVectors:
        source = self.source_of(contrast)
        if source.units is None:
            raise UserError("MoCHi mixes unit vectors, and this critic has none; bind InfoNCE.critic = @critics.CosineCritic.")
        if source.embeddings.shape[0] != contrast.scores.shape[1]:
            raise UserError("MoCHi mixes candidates that all anchors share, and the strategy in it adds each anchor's own.")
        return source.units(source.latents, source.embeddings.detach())


def _pick(order: Int[Tensor, "N H"], available: Int[Tensor, " N"], drawn: Float[Tensor, "N C"]) -> Int[Tensor, "N C"]:
    """For each number drawn from [0, 1) one of the first `available` of its row."""
    return order.gather(1, (drawn * available[:, None]).long())
