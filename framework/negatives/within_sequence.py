"""The other steps of the same sequence."""

from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from framework import negatives
from framework.data import Origin
from framework.negatives.base import Negatives, keep_only


@final
@negatives.register
class WithinSequence(Negatives):
    """Keeps the candidates of the anchor's own sequence: `K = T`.

    What is constant in a sequence (a background) cannot tell them apart, so this estimates the information given the sequence.
    """

    is_lower_bound: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()

    def forward(self, scores: Float[Tensor, "N M"], anchors: Origin, candidates: Origin) -> Float[Tensor, "N M"]:
        return keep_only(anchors.row[:, None] == candidates.row[None, :])
