"""InfoNCE in float64 numpy: van den Oord et al. (2018); *Dream to Control*, Appendix B; google-research/dreamer, `compute_cpc_loss`."""

import numpy as np

from tests.reference.layers import logsumexp, normal_log_density


def density_scores(values, mean, std):
    """`f_ij = log N(value_i; mean_j, diag std_j^2)`: the literal score, `q(s_i | o_j)`."""
    return normal_log_density(values[:, None], mean[None], std[None]).sum(axis=-1)


def row_loss(scores, kept):
    """The latent is fixed: `-f_ii + log sum_j exp f_ij` over the candidates `kept[i, j]`."""
    return logsumexp(np.where(kept, scores, -np.inf)) - np.diagonal(scores)


def column_loss(scores, kept):
    """The observation is fixed, and the sum runs over latents, as in the code that was released with Dreamer V1."""
    return row_loss(scores.T, kept)


def rolled_window(rows, times, row_shifts, time_shifts):
    """Which steps the released `window` compares: the batch rolled by `-rows/2 .. rows/2 - 1` sequences and likewise in time."""
    index = np.arange(rows * times).reshape(rows, times)
    kept = np.zeros((rows * times, rows * times), dtype=bool)
    for by_row in range(-(row_shifts // 2), row_shifts - row_shifts // 2):
        for by_time in range(-(time_shifts // 2), time_shifts - time_shifts // 2):
            kept[index.ravel(), np.roll(index, (by_row, by_time), axis=(0, 1)).ravel()] = True
    return kept
