"""The InfoNCE bound over a matrix of scores, and what the matrix says of itself.

    loss_i     = -f(s_i, o_i) + log sum_j exp(f(s_i, o_j) + w_ij)
    estimate_i = log K_i - loss_i,    K_i: how many candidates i keeps        in nats; at most log K_i where w is a mask

Anchors are rows, candidates are columns, and candidate `i` is the positive of anchor `i`; further columns are extra negatives.
A log-weight `w` of 0 keeps a candidate, -inf leaves it out; the positive's is 0. van den Oord et al. (2018); Poole et al. (2019).
Fixed latents and a sum over observations is Eq. 15 of the note, the row axis; the column axis is the same of the transposed matrix.
"""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

Scores = Float[Tensor, "N M"]


def weighted(scores: Scores, log_weights: Scores) -> Scores:
    """Add the log-weights; what a mask leaves out has neither value nor gradient, whatever its score was."""
    left_out = log_weights.isneginf()
    return scores.masked_fill(left_out, 0.0) + log_weights


def kept(log_weights: Scores) -> Bool[Tensor, "N M"]:
    """The candidates that have any weight."""
    return log_weights > -torch.inf


def positives(scores: Scores) -> Bool[Tensor, "N M"]:
    """Where anchor and candidate belong together: the diagonal."""
    return torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)


def infonce_loss(scores: Scores, log_weights: Scores) -> Float[Tensor, " N"]:
    """Which candidate belongs to this anchor?"""
    return torch.logsumexp(weighted(scores, log_weights), dim=1) - scores.diagonal()


def log_candidates(log_weights: Scores) -> Float[Tensor, " N"]:
    """`log K_i`, in nats, of the candidates that have any weight."""
    return kept(log_weights).sum(dim=1).to(log_weights.dtype).log()


def infonce_estimate(scores: Scores, log_weights: Scores) -> Float[Tensor, " N"]:
    """`log K_i - loss_i`: its mean bounds the mutual information from below where the weights are a fair selection."""
    return log_candidates(log_weights) - infonce_loss(scores, log_weights)


def alone(log_weights: Scores) -> Bool[Tensor, " N"]:
    """Which anchors keep no candidate beside their positive: nothing is asked of them, and they teach nothing."""
    these = kept(log_weights)
    return these.sum(dim=1) == these.diagonal()


def hits(scores: Scores, log_weights: Scores) -> Bool[Tensor, " N"]:
    """Where the positive scores above every other candidate that is kept."""
    positive = positives(scores)
    others = scores.masked_fill(log_weights.isneginf() | positive, -torch.inf)
    return scores.diagonal() > others.amax(dim=1)


def accuracy(scores: Scores, log_weights: Scores) -> Float[Tensor, ""]:
    """How often the positive scores above every other candidate that is kept."""
    return hits(scores, log_weights).float().mean()


def mean_where(values: Shaped[Tensor, " N"], valid: Bool[Tensor, " N"]) -> Float[Tensor, ""]:
    """The mean over the anchors that count, and 0 where none does."""
    return values.float().where(valid, 0.0).sum() / valid.sum().clamp(min=1)


def negative_mean(scores: Scores, log_weights: Scores) -> Float[Tensor, ""]:
    """The mean score of the candidates that are kept and are not the positive."""
    negative = kept(log_weights) & ~positives(scores)
    return scores.where(negative, 0.0).sum() / negative.sum().clamp(min=1)


def share_on(scores: Scores, log_weights: Scores, own: Int[Tensor, " N"], theirs: Int[Tensor, " M"]) -> Float[Tensor, ""]:
    """The softmax mass on negatives of the anchor's own group (its sequence): the meter of false negatives, in [0, 1]."""
    mass = torch.softmax(weighted(scores, log_weights), dim=1)
    same = (own[:, None] == theirs[None, :]) & ~positives(scores)
    return (mass * same).sum(dim=1).mean()


def effective_rank(embedding: Float[Tensor, "N E"]) -> Float[Tensor, ""]:
    """`exp` of the entropy of the normalised singular values (Roy and Vetterli, 2007): 1 is collapse, E is a full space."""
    centred = embedding.float() - embedding.float().mean(dim=0)
    gram = centred.T @ centred if centred.shape[0] > centred.shape[1] else centred @ centred.T
    energy = torch.linalg.eigvalsh(gram)
    rounding = 10 * torch.finfo(energy.dtype).eps * energy.max()
    singular = energy.where(energy > rounding, 0.0).sqrt()
    share = singular / singular.sum().clamp(min=torch.finfo(singular.dtype).tiny)
    return torch.special.entr(share).sum().exp()
