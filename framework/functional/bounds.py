"""What bounds on the mutual information other than InfoNCE's share, over the same scores and log-weights (see `contrastive`).

    M_i = sum_{j != i} exp(f_ij + w_ij) / (how many)    the mean over the negatives that are kept

Numbers are in nats. The positive is left out of `M_i`, since it is not drawn independently; an anchor without negatives has its positive
in their place. Poole et al. (2019) compare the bounds.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from framework.functional import ranks
from framework.functional.contrastive import PerAnchor, Scores, kept, log_partition, positives


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
    """`log mean_i exp(log_means_i)`: the partition function of a whole batch, on all ranks, from those of its anchors."""
    every = ranks.gather(log_means)
    return torch.logsumexp(every, dim=0) - math.log(every.shape[0])


def sum_softplus(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`sum_{j != i} exp(w_ij) softplus(f_ij)`."""
    weights = _of_negatives(log_weights)
    return (F.softplus(scores.masked_fill(weights.isneginf(), 0.0)) * weights.exp()).sum(dim=1)


def nwj_estimate(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`f_ii - M_i / e`."""
    return scores.diagonal() - (log_mean_negative(scores, log_weights) - 1).exp()


def donsker_varadhan_estimate(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`f_ii - log mean_k M_k`."""
    return scores.diagonal() - log_mean_all(log_mean_negative(scores, log_weights))


def jensen_shannon_loss(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`softplus(-f_ii) + mean_{j != i} softplus(f_ij)`: least at `f = log ratio`, for any number of candidates."""
    return F.softplus(-scores.diagonal()) + sum_softplus(scores, log_weights) / log_odds(log_weights).exp()


def _of_negatives(log_weights: Scores) -> Scores:
    """The log-weights of the negatives; a positive that stands in their place has weight 1."""
    lonely = torch.where(positives(log_weights), 0.0, log_weights)
    return lonely.masked_fill(~negatives(log_weights), -torch.inf)
