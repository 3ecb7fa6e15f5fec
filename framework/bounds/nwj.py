"""The bound of Nguyen, Wainwright and Jordan."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import bounds
from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.functional.bounds import nwj_estimate


@final
@bounds.register
class NWJ(Bound):
    """`f(s_i, o_i) - (1 / e) mean_{j != i} exp f(s_i, o_j)`; trained as it is evaluated.

    Nguyen, Wainwright and Jordan (2010), also known as f-GAN KL and MINE-f. Unbiased at its best critic, `1 + log ratio`, and so not
    capped, but its variance grows with `exp` of the information; a score above 89 overflows.
    """

    baseline = 1.0

    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return nwj_estimate(contrast.scores, contrast.log_weights)
