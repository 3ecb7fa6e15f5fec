"""A negative-sampling strategy of your own: what other sequences showed at about the same time."""

from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from framework import negatives
from framework.data import Origin
from framework.errors import UserError
from framework.negatives.base import keep_only


@final
@negatives.register
class NearestInTime(negatives.Negatives):
    """Keeps the steps of the other sequences that lie within `steps` of the anchor's own place: `K = (B - 1)(2 steps + 1) + 1` inside.

    Between `SameTimestep` (0), whose ceiling is only log B, and `CrossSequence` (any time), on which the time of the episode alone
    tells candidates apart. As there, leaving out the own sequence breaks exchangeability: not a strict lower bound.
    """

    is_lower_bound: ClassVar[bool] = False

    def __init__(self, *, steps: int = 4) -> None:
        super().__init__()
        if steps < 0:
            raise UserError(f"NearestInTime.steps = {steps} must not be negative; 0 keeps the anchor's own time step alone.")
        self.steps = steps

    def forward(self, scores: Float[Tensor, "N M"], anchors: Origin, candidates: Origin) -> Float[Tensor, "N M"]:
        near = (anchors.time[:, None] - candidates.time[None, :]).abs() <= self.steps
        return keep_only(near & (anchors.row[:, None] != candidates.row[None, :]))
