"""Two-hot regression (Dreamer V3): a number as a categorical distribution over bins that grow exponentially.

    symlog(x) = sign(x) log(1 + |x|),    symexp its inverse,    bins b_k = symexp(-20 .. 20)
    y between b_k and b_{k+1}:   weight (b_{k+1} - y) / (b_{k+1} - b_k) on k, the rest on k + 1

Hafner et al. (2023), *Mastering Diverse Domains through World Models*; the bins as the code has them since 2024. All in float32.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def symlog(value: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    return value.sign() * value.abs().log1p()


def symexp(value: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    return value.sign() * value.abs().expm1()


def symexp_bins(count: int, limit: float) -> Float[Tensor, " K"]:
    """Bins from `-symexp(limit)` to `symexp(limit)`, exactly symmetric; an odd count has a bin at zero."""
    exponents = np.linspace(-limit, 0, (count + 1) // 2) if count % 2 else np.linspace(-limit, limit, count)[: count // 2]
    half = -np.expm1(-exponents)  # numpy: on the meta device `torch.linspace` imports torch's compiler
    return torch.tensor(np.concatenate([half, -half[-1 - count % 2 :: -1]]), dtype=torch.float32)


def two_hot(value: Float[Tensor, "*B"], bins: Float[Tensor, " K"]) -> Float[Tensor, "*B K"]:
    """The weights of a number on its two neighboring bins; numbers outside count as the outermost bin."""
    value = value.float().clamp(bins[0], bins[-1])
    above = torch.searchsorted(bins, value.contiguous()).clamp(1, bins.shape[0] - 1)
    below = above - 1
    share = (value - bins[below]) / (bins[above] - bins[below])
    weights = torch.zeros(*value.shape, bins.shape[0], device=value.device)
    weights = weights.scatter(-1, below.unsqueeze(-1), (1 - share).unsqueeze(-1))
    return weights.scatter(-1, above.unsqueeze(-1), share.unsqueeze(-1))


@dataclass(frozen=True)
class TwoHot:
    """A categorical distribution over bins, given by its logits."""

    logits: Float[Tensor, "*B K"]
    bins: Float[Tensor, " K"]

    @property
    def mean(self) -> Float[Tensor, "*B"]:
        """`sum_k p_k b_k`, summed by symmetric pairs, so that symmetric probabilities give exactly zero."""
        weighted = self.logits.float().softmax(dim=-1) * self.bins
        return (weighted + weighted.flip(-1)).sum(dim=-1) / 2

    def log_density(self, value: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """Minus the cross-entropy with the two-hot weights, in nats."""
        return (two_hot(value, self.bins) * self.logits.float().log_softmax(dim=-1)).sum(dim=-1)
