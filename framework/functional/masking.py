"""Means over some of the elements, and masks over the candidates of each anchor."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from framework.functional import ranks


def masked(values: Float[Tensor, "*B"], kept: Bool[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """Values whose mean over all, on all ranks, is the mean over those that are kept: the others are 0; all are, where none is kept."""
    share = ranks.mean_of_all(kept.float().mean())
    return values.masked_fill(~kept, 0.0) / share.clamp(min=1 / (max(kept.numel(), 1) * ranks.size()))


def log_mask(kept: Bool[Tensor, "N M"]) -> Float[Tensor, "N M"]:
    """Log-weights of a mask: 0 where `kept`, -inf elsewhere."""
    return torch.zeros(kept.shape, device=kept.device).masked_fill(~kept, -torch.inf)


def rank_mask(
    values: Float[Tensor, "N M"],
    among: Bool[Tensor, "N M"],
    *,
    first: int | Int[Tensor, "N 1"] = 0,
    last: int | Int[Tensor, "N 1"],
    most: int,
) -> Bool[Tensor, "N M"]:
    """The entries at places `first <= place < last` of each row, when those `among` which to choose are sorted in descending order.

    The highest has place 0; places from `most` on are not looked at. A row with fewer entries gives what it has. Gradients: none.
    """
    highest = values.detach().masked_fill(~among, -torch.inf).topk(most, dim=1).indices
    place = torch.arange(most, device=values.device)
    chosen = ((place >= first) & (place < last)).expand(highest.shape)
    return torch.zeros_like(among).scatter(1, highest, chosen) & among
