"""Balanced assignment: every sample is divided over the prototypes, and all prototypes receive the same mass.

    Q = argmax <Q, scores> + epsilon H(Q)    with rows that sum to 1 and columns that sum to N / K

Cuturi (2013), *Sinkhorn Distances*; Caron et al. (2020), *Unsupervised Learning of Visual Features by Contrasting Cluster Assignments*.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from framework.functional import ranks


def sinkhorn(scores: Float[Tensor, "N K"], epsilon: float, iterations: int) -> Float[Tensor, "N K"]:
    """Shares in [0, 1] that sum to 1 over the prototypes exactly, and to N / K over the samples in the limit of many iterations.

    The samples are those of all ranks. Computed in logarithms, so that a small epsilon does not overflow. A smaller epsilon makes the
    assignment harder.
    """
    shares = scores.float() / epsilon
    for _ in range(iterations):
        shares = shares - torch.logsumexp(ranks.gather(torch.logsumexp(shares, dim=0, keepdim=True)), dim=0, keepdim=True)
        shares = shares - torch.logsumexp(shares, dim=1, keepdim=True)
    return shares.exp()
