"""TD-MPC2's consistency loss in float64 numpy: Hansen et al. (2024), arXiv 2310.16828, Eq. 3 and nicklashansen/tdmpc2."""

import numpy as np


def consistency_loss(predicted, target, episode, rho=0.5):
    """`1 / H sum_k rho^(k-1) mean ||x_{t+k|t} - sg x_{t+k}||^2 / F`, over the pairs of one episode alone.

    `predicted` is `[H, B, T, F]`, k steps ahead of each step; `target` is `[B, T, F]`.
    """
    total, times = 0.0, target.shape[1]
    for k, ahead in enumerate(predicted, start=1):
        errors = np.mean((ahead[:, : times - k] - target[:, k:]) ** 2, axis=-1)
        total += rho ** (k - 1) * errors[episode[:, : times - k] == episode[:, k:]].mean()
    return total / len(predicted)
