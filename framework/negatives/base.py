"""The contract of a negative-sampling strategy."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from framework.data import Origin


class Negatives(nn.Module, ABC):
    """Gives the log-weight of every candidate in every anchor's denominator: 0 keeps it, -inf leaves it out, the positive has 0.

    A strategy sees the scores and where each anchor and candidate comes from. `is_lower_bound` says whether the estimate under it
    is still a lower bound on the mutual information `I(s; o)`.
    """

    derived: ClassVar[tuple[str, ...]] = ()
    is_lower_bound: ClassVar[bool] = True

    @abstractmethod
    def __init__(self) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, scores: Float[Tensor, "N M"], anchors: Origin, candidates: Origin) -> Float[Tensor, "N M"]: ...


def keep_only(kept: Bool[Tensor, "N M"]) -> Float[Tensor, "N M"]:
    """The log-weights of a selection, to which the positives always belong."""
    positive = torch.eye(*kept.shape, dtype=torch.bool, device=kept.device)
    zeros = torch.zeros(kept.shape, device=kept.device)
    return zeros.masked_fill(~(kept | positive), -torch.inf)
