"""TPC in float64 numpy: Nguyen et al. (2021), *Temporal Predictive Coding*, arXiv 2106.07156, and VinAIResearch/TPC-tensorflow.

Arrays are `[B, T, S]`: means of the posterior, which sees the observation alone, and the Gaussian prior. `blurred` is mean + 0.2 noise.
"""

import numpy as np

from tests.reference.layers import logsumexp, normal_log_density


def same_step_loss(blurred, mean, std):
    """`-log p(z_b | c_b) + log sum_a p(z_b | c_a)` over the sequences a, at each step: `[B, T]`. The paper's has `log B` less."""
    scores = normal_log_density(blurred[:, None], mean[None], std[None]).sum(axis=-1)
    return logsumexp(scores, axis=1) - np.einsum("bbt->bt", scores)


def temporal_loss(blurred, prior_mean, prior_std, warm_up):
    """Histories are distinguished, after the first steps of a sequence, and averaged over the steps that count."""
    return same_step_loss(blurred, prior_mean, prior_std)[:, warm_up:].mean()


def static_loss(blurred, predicted):
    """Observations are distinguished by `N(predicted, 0.2^2)`; the released `predicted` is the mean of the posterior itself."""
    return same_step_loss(blurred, predicted, np.full_like(predicted, 0.2)).mean()


def consistency_loss(mean, prior_mean, prior_std, warm_up):
    """`-log p(mean | h)` of the clean mean, averaged over the steps that count."""
    return -normal_log_density(mean, prior_mean, prior_std).sum(axis=-1)[:, warm_up:].mean()


def centering_loss(mean):
    """The square of the mean of all clean means."""
    return np.sum(mean.mean(axis=(0, 1)) ** 2)
