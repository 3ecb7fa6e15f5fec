"""Contrastive bounds over a matrix of scores, and what the matrix says of itself.

    loss_i     = -f(s_i, o_i) + log sum_j exp(f(s_i, o_j) + w_ij)
    estimate_i = log K_i - loss_i,    K_i = sum_j exp(w_ij)        in nats, at most log K_i

Anchors are rows, candidates are columns, and candidate `i` is the positive of anchor `i`; further columns are extra negatives.
A log-weight `w` of 0 keeps a candidate, -inf leaves it out; the positive's is 0. van den Oord et al. (2018); Poole et al. (2019).
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Axis = Literal["row", "column", "symmetric"]
Scores = Float[Tensor, "N M"]


def weighted(scores: Scores, log_weights: Scores) -> Scores:
    """Add the log-weights; what a mask leaves out has neither value nor gradient, whatever its score was."""
    left_out = log_weights.isneginf()
    return scores.masked_fill(left_out, 0.0) + log_weights


def row_loss(scores: Scores, log_weights: Scores) -> Float[Tensor, " N"]:
    """Which observation belongs to this latent? Fixed `s_i`, sum over `o_j`: Eq. 15 of the note."""
    return torch.logsumexp(weighted(scores, log_weights), dim=1) - scores.diagonal()


def column_loss(scores: Scores, log_weights: Scores) -> Float[Tensor, " N"]:
    """Which latent belongs to this observation? Fixed `o_j`, sum over `s_i`: what the released code computes."""
    size = scores.shape[0]
    square = weighted(scores, log_weights)[:, :size]
    return torch.logsumexp(square, dim=0) - scores.diagonal()


def infonce_loss(scores: Scores, log_weights: Scores, axis: Axis) -> Float[Tensor, " N"]:
    """The loss of each anchor along one axis, or the mean of both."""
    if axis == "row":
        return row_loss(scores, log_weights)
    if axis == "column":
        return column_loss(scores, log_weights)
    return (row_loss(scores, log_weights) + column_loss(scores, log_weights)) / 2


def log_candidates(log_weights: Scores, axis: Axis) -> Float[Tensor, " N"]:
    """The ceiling `log K_i` of each anchor's estimate, in nats."""
    size = log_weights.shape[0]
    rows = torch.logsumexp(log_weights, dim=1)
    columns = torch.logsumexp(log_weights[:, :size], dim=0)
    return {"row": rows, "column": columns, "symmetric": (rows + columns) / 2}[axis]


def accuracy(scores: Scores, log_weights: Scores, axis: Axis) -> Float[Tensor, ""]:
    """How often the positive scores above every other candidate."""
    candidates = weighted(scores, log_weights)
    size = scores.shape[0]
    target = torch.arange(size, device=scores.device)
    rows = (candidates.argmax(dim=1) == target).float().mean()
    columns = (candidates[:, :size].argmax(dim=0) == target).float().mean()
    return {"row": rows, "column": columns, "symmetric": (rows + columns) / 2}[axis]


def negative_mean(scores: Scores, log_weights: Scores) -> Float[Tensor, ""]:
    """The mean score of the candidates that are kept and are not the positive."""
    kept = log_weights.isfinite() & ~torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)
    return scores.where(kept, 0.0).sum() / kept.sum().clamp(min=1)


def share_on(scores: Scores, log_weights: Scores, own: Int[Tensor, " N"], theirs: Int[Tensor, " M"]) -> Float[Tensor, ""]:
    """The softmax mass on negatives of the anchor's own group (its sequence): the meter of false negatives, in [0, 1]."""
    mass = torch.softmax(weighted(scores, log_weights), dim=1)
    positive = torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)
    same = (own[:, None] == theirs[None, :]) & ~positive
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
