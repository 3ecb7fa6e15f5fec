"""The bound of Donsker and Varadhan, estimated from one batch."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import bounds
from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.functional.bounds import donsker_varadhan_estimate


@final
@bounds.register
class DonskerVaradhan(Bound):
    """`f(s_i, o_i) - log mean_k mean_{j != k} exp f(s_k, o_j)`; trained as it is evaluated.

    Donsker and Varadhan (1983). The partition function is one for the whole batch, without the positives. A lower bound with the true
    one; the logarithm of a mean over a batch is too low on average, so the estimate is too high.
    """

    side = None
    joins_anchors = True

    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return donsker_varadhan_estimate(contrast.scores, contrast.log_weights)
