"""Redundancy reduction: two views of a batch agree in each dimension, and different dimensions are uncorrelated.

    c_ij = sum_n w_n a_ni b_nj,    loss = sum_i (1 - c_ii)^2 + redundancy sum_{i != j} c_ij^2

with `a` and `b` standardized by their unbiased deviations, and weights `w` that sum to one, so that `|c| <= 1 - 1/N`. The batch is that of
all ranks.
Zbontar et al. (2021), *Barlow Twins*, Algorithm 1.
"""

from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from framework.functional import ranks

EPSILON: Final = 1e-5
"""Added to each variance, as in batch normalization: a constant dimension becomes zero."""


def standardized(values: Float[Tensor, "N D"], kept: Bool[Tensor, " N"]) -> Float[Tensor, "N D"]:
    """Mean 0 and unbiased variance 1 in each dimension, over the samples that are kept."""
    count = ranks.sum_of_all(kept.sum())
    centered = values.float() - ranks.sum_of_all(_shares(kept) @ values.float())
    variance = ranks.sum_of_all(kept.float() @ centered.square()) / (count - 1).clamp(min=1)
    return centered * (variance + EPSILON).rsqrt()


def cross_correlation(one: Float[Tensor, "N D"], other: Float[Tensor, "N D"], kept: Bool[Tensor, " N"]) -> Float[Tensor, "D D"]:
    """The correlation of each dimension of one view with each of the other, in [-1, 1], over the samples that are kept."""
    return ranks.sum_of_all((_shares(kept)[:, None] * standardized(one, kept)).T @ standardized(other, kept))


def redundancy_loss(correlation: Float[Tensor, "D D"], redundancy: float) -> Float[Tensor, ""]:
    """The squared distance of the correlations from the identity, off the diagonal times `redundancy`."""
    return (1 - correlation.diagonal()).square().sum() + redundancy * off_diagonal(correlation).square().sum()


def off_diagonal(correlation: Float[Tensor, "D D"]) -> Float[Tensor, "D D"]:
    """The same with zeros on the diagonal."""
    return correlation.masked_fill(torch.eye(correlation.shape[0], dtype=torch.bool, device=correlation.device), 0.0)


def _shares(kept: Bool[Tensor, " N"]) -> Float[Tensor, " N"]:
    """One share for each sample that is kept, of those on all ranks; zeros where none is."""
    return kept.float() / ranks.sum_of_all(kept.sum()).clamp(min=1)
