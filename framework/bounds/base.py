"""The contract of a bound on the mutual information."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.contrastive.contrast import Contrast
from framework.data import LatentSpec


class Bound(nn.Module, ABC):
    """Makes of a contrast one number for each anchor, whose mean estimates `I(s; o)` in nats, and the loss that trains the critic.

    `side` says on which side of the mutual information the mean lies when the critic is any function (for `upper`: when it is the true
    conditional density), and None where it may lie on either; `capped` that no estimate exceeds `log K_i`; `is_stateful` that it carries
    something over from update to update. The best critic is the log ratio `log p(s, o) / p(s) p(o)` plus `baseline` (up to what the
    bound does not see). `needs_source` says that it reads the pairs themselves, which only the row axis of an objective has;
    `joins_anchors` that what it says of one anchor, in its loss or its estimate, depends on the others, so that it must see all of a batch
    at once. A bound around another takes over what is true of that.
    """

    derived: ClassVar[tuple[str, ...]] = ("latent", "embedding_size")
    side: Literal["lower", "upper"] | None = "lower"
    capped: bool = False
    is_stateful: bool = False
    needs_source: bool = False
    joins_anchors: bool = False
    baseline: float = 0.0

    @abstractmethod
    def __init__(self, *, latent: LatentSpec, embedding_size: int) -> None:
        super().__init__()

    @abstractmethod
    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]: ...

    @abstractmethod
    def loss(self, contrast: Contrast) -> Float[Tensor, " N"]:
        """What is minimized; it may have another optimum than the estimate, but never a side effect."""

    def loss_and_estimate(self, contrast: Contrast) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        """Both of one contrast, for a bound that finds what they share once. Gradients: to the loss alone."""
        loss = self.loss(contrast)
        with torch.no_grad():
            return loss, self.estimate(contrast)

    def after_update(self, contrast: Contrast) -> None:
        """Take in a contrast whose update is done, for running means."""
        return
