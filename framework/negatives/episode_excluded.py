"""The steps of the other episodes."""

from typing import ClassVar, final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class EpisodeExcluded(Negatives):
    """Leaves out the anchor's own episode, except the positive, wherever it is: in other rows, and in queues and draws too.

    Two sequences may be pieces of one episode, and one sequence may hold two: `CrossSequence` leaves out by row what this does by
    episode. A candidate of unknown episode (-1) stays. As there, exchangeability is broken: not a strict lower bound.
    """

    is_lower_bound: ClassVar[bool] = False

    def __init__(self, *, of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        own, theirs = contrast.anchors.episode[:, None], contrast.candidates.episode[None, :]
        return contrast.keep((own != theirs) | (theirs < 0))
