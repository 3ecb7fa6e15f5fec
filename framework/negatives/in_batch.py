"""Every step of the batch."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from framework import negatives
from framework.data import Origin
from framework.negatives.base import Negatives


@final
@negatives.register
class InBatch(Negatives):
    """Keeps all `K = B T` candidates: "the observations of the current sequence batch", as the paper has it.

    Neighbours in time look alike, so that with slow dynamics many of them are false negatives.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, scores: Float[Tensor, "N M"], anchors: Origin, candidates: Origin) -> Float[Tensor, "N M"]:
        return torch.zeros_like(scores)
