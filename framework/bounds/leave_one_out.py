"""The leave-one-out upper bound."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import bounds
from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.functional.bounds import log_mean_negative


@final
@bounds.register
class LeaveOneOut(Bound):
    """`f(s_i, o_i) - log mean_{j != i} exp f(s_i, o_j)`: above the mutual information where `f` is `log p(s | o)` itself, up to `c(s)`.

    Poole et al. (2019), the leave-one-out upper bound. With any other critic it bounds on neither side, and can be raised without end: it
    is a diagnostic, and cannot be trained.
    """

    side = "upper"

    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return contrast.scores.diagonal() - log_mean_negative(contrast.scores, contrast.log_weights)
