"""The order of some entries in every row of a matrix, without a shape that depends on how many they are."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def ranks(values: Float[Tensor, "N M"], among: Bool[Tensor, "N M"]) -> Int[Tensor, "N M"]:
    """The place of each entry, from 0, when those of its row that are `among` are put in ascending order; the others come after all.

    Of equal values the first comes first. Gradients: none.
    """
    order = values.detach().masked_fill(~among, torch.inf).argsort(dim=1, stable=True)
    places = torch.arange(values.shape[1], device=values.device).expand_as(order)
    return torch.zeros_like(order).scatter(1, order, places)
