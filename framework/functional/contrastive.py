"""The InfoNCE bound over a matrix of scores, and statistics of that matrix.

    loss_i     = -f(s_i, o_i) + log sum_j exp(f(s_i, o_j) + w_ij)
    estimate_i = log K_i - loss_i        nats, at most log K_i where w is a mask;    K_i: how many candidates i keeps

Anchors are rows, candidates are columns, and candidate `i` is the positive of anchor `i`; further columns are extra negatives.
A log-weight `w` of 0 keeps a candidate, -inf leaves it out; the positive's is 0. van den Oord et al. (2018); Poole et al. (2019).
Fixed latents and a sum over observations are the row axis, Eq. 7 of docs/guides/derivation.md (*Dream to Control*, Appendix B); the column
axis is the same of the transposed matrix.
"""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from framework.functional import ranks

Scores = Float[Tensor, "N M"]
PerAnchor = Float[Tensor, " N"]


def weighted(scores: Scores, log_weights: Scores) -> Scores:
    """Scores plus log-weights; a candidate that is left out has neither value nor gradient, whatever its score is."""
    return (scores + log_weights).masked_fill(log_weights.isneginf(), -torch.inf)


def kept(log_weights: Scores) -> Bool[Tensor, "N M"]:
    """The candidates with any weight."""
    return ~log_weights.isneginf()


def positives(scores: Scores) -> Bool[Tensor, "N M"]:
    """Where anchor and candidate belong together: the diagonal."""
    return torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)


def log_partition(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`log sum_j exp(f_ij + w_ij)`. Gradients: to the scores and to the weights."""
    return torch.logsumexp(weighted(scores, log_weights), dim=1)


def infonce_loss(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`-f_ii + log sum_j exp(f_ij + w_ij)`: the cross-entropy of choosing the positive."""
    return log_partition(scores, log_weights) - scores.diagonal()


def log_candidates(log_weights: Scores) -> PerAnchor:
    """`log K_i`, in nats, over the candidates with any weight."""
    return kept(log_weights).sum(dim=1).to(log_weights.dtype).log()


def infonce_estimate(scores: Scores, log_weights: Scores) -> PerAnchor:
    """`log K_i - loss_i`: its mean bounds the mutual information from below where the weights are a fair selection."""
    return log_candidates(log_weights) - infonce_loss(scores, log_weights)


def alone(log_weights: Scores) -> Bool[Tensor, " N"]:
    """The anchors that keep no negative: their loss is constant."""
    return ~(kept(log_weights) & ~positives(log_weights)).any(dim=1)


def accuracy(scores: Scores, log_weights: Scores) -> Float[Tensor, ""]:
    """The share of anchors whose positive scores above every negative that is kept, of those that keep one; 0 where none does."""
    negative = kept(log_weights) & ~positives(log_weights)
    highest = scores.masked_fill(~negative, -torch.inf).amax(dim=1)
    return mean_where(scores.diagonal() > highest, negative.any(dim=1))


def mean_where(values: Shaped[Tensor, "*K N"], valid: Bool[Tensor, " N"]) -> Float[Tensor, "*K"]:
    """The mean over valid anchors, on all ranks; 0 where none is valid. Gradients: to the values of every rank."""
    total, count = values.float().where(valid, 0.0).sum(dim=-1), valid.sum()
    return ranks.sum_of_all(total) / ranks.sum_of_all(count).clamp(min=1)


def own_group_mass(scores: Scores, log_weights: Scores, anchors: Int[Tensor, " N"], candidates: Int[Tensor, " M"]) -> Float[Tensor, ""]:
    """The softmax mass on negatives of the anchor's own group (its sequence), in [0, 1]: the share of false negatives."""
    mass = torch.softmax(weighted(scores, log_weights), dim=1)
    same = (anchors[:, None] == candidates[None, :]) & ~positives(scores)
    return ranks.mean_of_all((mass * same).sum(dim=1).mean())


def effective_rank(embedding: Float[Tensor, "N E"]) -> Float[Tensor, ""]:
    """`exp` of the entropy of the normalized singular values (Roy and Vetterli, 2007), of all ranks: 1 is collapse, E is a full space."""
    embedding = ranks.gather(embedding)
    centered = embedding.float() - embedding.float().mean(dim=0)
    gram = centered.T @ centered if centered.shape[0] > centered.shape[1] else centered @ centered.T
    energy = torch.linalg.eigvalsh(gram)
    rounding = 10 * torch.finfo(energy.dtype).eps * energy.max()
    singular = energy.where(energy > rounding, 0.0).sqrt()
    share = singular / singular.sum().clamp(min=torch.finfo(singular.dtype).tiny)
    return torch.special.entr(share).sum().exp()
