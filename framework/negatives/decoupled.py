"""The positive out of the denominator."""

from typing import ClassVar, final

import torch

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class Decoupled(Negatives):
    """Leaves the positive out of the denominator, where an anchor has any negative: `loss = loss_InfoNCE + log(1 - p_ii)`.

    Yeh et al. (2022), *Decoupled contrastive learning*: an anchor that already scores its positive highest keeps its gradient. `p_ii` is
    the softmax's share of the positive. The estimate, with `K_i` the number of negatives, has no ceiling: with the true conditional
    density it bounds from above (the leave-one-out bound of Poole et al., 2019).
    """

    is_lower_bound: ClassVar[bool] = False
    keeps_positive: ClassVar[bool] = False

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        has_negatives = contrast.negative.any(dim=1, keepdim=True)
        return contrast.weigh(torch.zeros_like(contrast.log_weights).masked_fill(contrast.positive & has_negatives, -torch.inf))
