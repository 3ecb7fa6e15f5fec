"""Between NWJ and InfoNCE."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import bounds
from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.data import LatentSpec
from framework.errors import UserError
from framework.functional import bounds as formulas


@final
@bounds.register
class Interpolated(Bound):
    """`1 + f_ii - log a_i - mean_{j != i} exp(f_ij) / a'_i`, with the baseline `a = alpha mean_j exp f_ij + (1 - alpha) e`.

    Poole et al. (2019), the interpolated bound with the constant `e` for their `q(y)`: `alpha = 0` is NWJ, unbiased at its best critic,
    `alpha = 1` is InfoNCE, of low variance; never above `log(K / alpha)`. `a` averages over the candidates, the positive included;
    `a'` over the independent ones alone. Trained as it is evaluated.
    """

    baseline = 1.0

    def __init__(self, *, latent: LatentSpec, embedding_size: int, alpha: float = 0.5) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        if not 0 <= alpha <= 1:
            raise UserError(f"Interpolated.alpha = {alpha} must be from 0, which is NWJ, to 1, which is InfoNCE.")
        self.alpha = alpha

    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        return formulas.interpolated_estimate(contrast.scores, contrast.log_weights, self.alpha)
