"""A negative-sampling strategy of your own: candidates that are far from the anchor in time."""

from typing import ClassVar, final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.random import Key


@final
@negatives.register
class MyComponent(negatives.Negatives):
    """Keeps the steps of all other sequences, and of the own one those at least `steps` before or after the anchor.

    What is left out depends on the positive, so that candidates are not exchangeable: not a strict lower bound.
    """

    is_lower_bound: ClassVar[bool] = False

    def __init__(self, *, steps: int = 4, of: Factory[negatives.Negatives] | None = None) -> None:
        super().__init__(of=of)
        if steps < 1:
            raise UserError(f"MyComponent.steps = {steps} is no distance in time: bind 1, which leaves out nothing, or more.")
        self.steps = steps

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        anchors, candidates = contrast.anchors, contrast.candidates
        other = anchors.row[:, None] != candidates.row[None, :]
        far = (anchors.time[:, None] - candidates.time[None, :]).abs() >= self.steps
        return contrast.keep(other | far)
