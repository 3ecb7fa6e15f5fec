"""Balanced assignment: every sample is shared out over the prototypes, and every prototype gets as much as any other.

    Q = argmax <Q, scores> + epsilon H(Q)    with rows that sum to 1 and columns that sum to N / K

Cuturi (2013), *Sinkhorn Distances*; Caron et al. (2020), *Unsupervised Learning of Visual Features by Contrasting Cluster Assignments*.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def sinkhorn(scores: Float[Tensor, "N K"], epsilon: float, iterations: int) -> Float[Tensor, "N K"]:
    """Shares in [0, 1], which sum to 1 over the prototypes exactly, and to N / K over the samples as the iterations go on.

    In logarithms, so that a small epsilon overflows nothing. A smaller epsilon makes the shares harder.
    """
    shares = scores.float() / epsilon
    for _ in range(iterations):
        shares = shares - torch.logsumexp(shares, dim=0, keepdim=True)
        shares = shares - torch.logsumexp(shares, dim=1, keepdim=True)
    return shares.exp()
