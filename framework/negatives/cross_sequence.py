"""The steps of the other sequences."""

from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from framework import negatives
from framework.data import Origin
from framework.negatives.base import Negatives, keep_only


@final
@negatives.register
class CrossSequence(Negatives):
    """Leaves out the anchor's own sequence, except the positive: `K = (B - 1) T + 1`.

    No false negatives from slow dynamics. Leaving out the own sequence breaks exchangeability, so that with few sequences the
    estimate can exceed the mutual information a little: not a strict lower bound.
    """

    is_lower_bound: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()

    def forward(self, scores: Float[Tensor, "N M"], anchors: Origin, candidates: Origin) -> Float[Tensor, "N M"]:
        return keep_only(anchors.row[:, None] != candidates.row[None, :])
