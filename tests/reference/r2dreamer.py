"""R2-Dreamer in float64 numpy: arXiv 2603.18202, Section 3, after Zbontar et al. (2021), *Barlow Twins*, Eqs. 1 and 2."""

import numpy as np


def barlow_loss(projected, embedding, redundancy):
    """`sum_i (1 - c_ii)^2 + redundancy sum_{i != j} c_ij^2` over samples `[N, E]`.

    `c` is the correlation matrix of the projected features and the embeddings over the batch, times (N - 1) / N, since the released code
    divides by unbiased deviations; with batch normalization's epsilon.
    """
    one, other = ((values - values.mean(axis=0)) / np.sqrt(values.var(axis=0, ddof=1) + 1e-5) for values in (projected, embedding))
    total = 0.0
    for i in range(one.shape[1]):
        for j in range(other.shape[1]):
            correlation = np.mean(one[:, i] * other[:, j])
            total += (1 - correlation) ** 2 if i == j else redundancy * correlation**2
    return total
