"""The steps of the other episodes."""

from typing import ClassVar, final

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class EpisodeExcluded(Negatives):
    """Leaves out the anchor's own episode, except the positive, wherever it is: in other rows, and in queues and extra candidates too.

    A candidate of unknown episode (-1) stays. As in `CrossSequence`, exchangeability is broken: not a strict lower bound.
    """

    is_lower_bound: ClassVar[bool] = False

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        anchors, candidates = contrast.anchors.episode[:, None], contrast.candidates.episode[None, :]
        return contrast.keep((anchors != candidates) | (candidates < 0))
