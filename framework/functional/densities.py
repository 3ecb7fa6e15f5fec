"""Log-densities of every pair by matrix products, without the `[N, M, D]` tensor of the naive form."""

from jaxtyping import Float
from torch import Tensor

from framework.functional.distributions import HALF_LOG_TAU


def gaussian_scores(value: Float[Tensor, "N D"], mean: Float[Tensor, "M D"], std: Float[Tensor, "M D"]) -> Float[Tensor, "N M"]:
    """`log N(value_i; mean_j, std_j^2)` for every pair.

    The expanded square loses precision where values lie far from zero or sigma is small: values and means are centered first, and the
    caller bounds sigma from below (float32, D = 230: a nat and more is lost at sigma = 0.01, a hundredth at 0.1).
    """
    center = mean.detach().mean(dim=0)
    value, mean, precision = value - center, mean - center, std.square().reciprocal()
    square = value.square() @ precision.T - 2 * value @ (mean * precision).T + (mean.square() * precision).sum(dim=-1)
    return -0.5 * square - std.log().sum(dim=-1) - value.shape[-1] * HALF_LOG_TAU
