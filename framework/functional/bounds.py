"""Bounds on the mutual information other than InfoNCE's, over the same matrix of scores and log-weights (see `contrastive`).

    E f     is `f_ii`, over positive pairs
    E_P e^f is a mean over negatives that are kept, `M_i = sum_{j != i} exp(f_ij + w_ij) / (how many)`, or over all anchors too

Each function returns one number per anchor, in nats. The positive is left out of `M_i`, since it is not drawn independently; an anchor
without negatives has its positive in their place. Poole et al. (2019) compare the bounds.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from framework.functional.contrastive import PerAnchor, Scores, infonce_estimate, kept, log_partition, positives


def negatives(log_weights: Scores) -> Bool[Tensor, "N M"]:
    """The candidates that count as independent draws: those kept other than the positive, or the positive where there are none."""
    positive = positives(log_weights)
    others = kept(log_weights) & ~positive
    return others | (positive & ~others.any(dim=1, keepdim=True))


def log_odds(log_weights: Scores) -> PerAnchor:
    """`log` of how many negatives there are for each positive."""
    return negatives(log_weights).sum(dim=1).to(log_weights.dtype).log()


def log_mean_negative(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`log M_i`, without the overflow of `exp`."""
    return log_partition(scores, _of_negatives(log_weights)) - log_odds(log_weights)


def log_mean_all(log_means: PerAnchor) -> Float[Tensor, ""]:
    """`log mean_i exp(log_means_i)`: the partition function of a whole batch from those of its anchors."""
    return torch.logsumexp(log_means, dim=0) - math.log(log_means.shape[0])


def nwj_estimate(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`f_ii - M_i / e`. Nguyen, Wainwright and Jordan (2010): a lower bound for any critic, exact at `1 + log ratio`."""
    return scores.diagonal() - (log_mean_negative(scores, log_weights) - 1).exp()


def donsker_varadhan_estimate(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`f_ii - log mean_k M_k`. Donsker and Varadhan (1983): the logarithm of a mean over one batch is too low, so this is too high."""
    return scores.diagonal() - log_mean_all(log_mean_negative(scores, log_weights))


def mine_loss(scores: Scores, log_weights: Scores, log_denominator: Float[Tensor, ""]) -> PerAnchor:
    """The value of Donsker and Varadhan's bound, negated, with the gradient of `-f_ii + M_i / denominator`.

    Belghazi et al. (2018). Gradients: none to the denominator, which is a running mean of `mean_k M_k`.
    """
    log_means = log_mean_negative(scores, log_weights)
    ratio = (log_means - log_denominator.detach()).exp()
    return log_mean_all(log_means).detach() + (ratio - ratio.detach()) - scores.diagonal()


def jensen_shannon_loss(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`softplus(-f_ii) + mean_{j != i} softplus(f_ij)`. Nowozin et al. (2016); least at `f = log ratio`, for any number of candidates."""
    return F.softplus(-scores.diagonal()) + _sum_softplus(scores, log_weights) / log_odds(log_weights).exp()


def jensen_shannon_estimate(scores: Scores, log_weights: Scores) -> PerAnchor:
    """NWJ of `f + 1`: exact where `f` is the log ratio; NWJ of `f` itself is `1 / e` nats too low there."""
    return nwj_estimate(scores + 1, log_weights)


def smile_estimate(scores: Scores, log_weights: Scores, clip: float) -> PerAnchor:
    """`f_ii - log mean_k M_k(clamp(f, -clip, clip))`. Song and Ermon (2020): less variance for a bias that grows with the information."""
    return scores.diagonal() - log_mean_all(log_mean_negative(scores.clamp(-clip, clip), log_weights))


def interpolated_estimate(scores: Scores, log_weights: Scores, alpha: float) -> PerAnchor:
    """`1 + f_ii - log(alpha m_i + (1 - alpha) e) - M_i / (alpha M_i + (1 - alpha) e)`, `m_i` the mean over all candidates.

    Poole et al. (2019): NWJ at `alpha = 0`, InfoNCE at 1, never above `log(K / alpha)` between. The baseline depends on the candidates
    that it is drawn with: in the joint term those include the positive, in the other they are independent.
    """
    with_positive = scores.diagonal() - infonce_estimate(scores, log_weights)
    independent = log_mean_negative(scores, log_weights)
    ratio = (independent - _mixed(independent, alpha)).exp()
    return 1 + scores.diagonal() - _mixed(with_positive, alpha) - ratio


def flo_estimate(scores: Scores, log_weights: Scores, u: PerAnchor) -> PerAnchor:
    """`1 - u_i - exp(-u_i) mean_{j != i} exp(f_ij - f_ii)`. Guo et al. (2022): a lower bound for any `u`.

    Exact where `u_i` is the logarithm of that mean, which for the best critic is `-log ratio` of the pair.
    """
    return 1 - u - (log_mean_negative(scores, log_weights) - scores.diagonal() - u).exp()


def leave_one_out_estimate(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`f_ii - log M_i`. Poole et al. (2019): an upper bound where `f` is the true conditional density, and else none."""
    return scores.diagonal() - log_mean_negative(scores, log_weights)


def sigmoid_loss(scores: Scores, log_weights: Scores, bias: Float[Tensor, ""]) -> PerAnchor:
    """`softplus(-l_ii) + sum_{j != i} softplus(l_ij)` with `l = f + bias - log(K_i - 1)`: one binary decision per pair.

    Zhai et al. (2023). One pair in `K` is positive, so the best `l` is the log ratio less `log(K - 1)`, and the best `f + bias` the log
    ratio at any batch size.
    """
    logits = scores + bias - log_odds(log_weights)[:, None]
    return F.softplus(-logits.diagonal()) + _sum_softplus(logits, log_weights)


def squared_partition(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`(log sum_j exp(f_ij + w_ij))^2`: fixes the constant of each row, to which InfoNCE is invariant. Eysenbach et al. (2022)."""
    return log_partition(scores, log_weights).square()


def _of_negatives(log_weights: Scores) -> Scores:
    """The log-weights of the negatives; a positive that stands in their place has weight 1."""
    lonely = torch.where(positives(log_weights), 0.0, log_weights)
    return lonely.masked_fill(~negatives(log_weights), -torch.inf)


def _sum_softplus(scores: Scores, log_weights: Scores) -> PerAnchor:
    weights = _of_negatives(log_weights)
    return (F.softplus(scores.masked_fill(weights.isneginf(), 0.0)) * weights.exp()).sum(dim=1)


def _mixed(log_mean: PerAnchor, alpha: float) -> PerAnchor:
    """`log(alpha exp(log_mean) + (1 - alpha) e)`."""
    share, rest = (math.log(part) if part > 0 else -math.inf for part in (alpha, 1 - alpha))
    return torch.logaddexp(log_mean + share, torch.full_like(log_mean, 1 + rest))
