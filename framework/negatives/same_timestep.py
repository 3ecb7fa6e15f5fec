"""The same step of the other sequences."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import negatives
from framework.data import Origin
from framework.negatives.base import Negatives, keep_only


@final
@negatives.register
class SameTimestep(Negatives):
    """Keeps the candidates at the anchor's own place in the sequence: `K = B`.

    No false negatives from slow dynamics, and no shortcut by the time of the episode where rows are aligned in it; the ceiling is log B.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, scores: Float[Tensor, "N M"], anchors: Origin, candidates: Origin) -> Float[Tensor, "N M"]:
        return keep_only(anchors.time[:, None] == candidates.time[None, :])
