"""The contract of a bound on the mutual information."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.contrastive.contrast import Contrast
from framework.specs import LatentSpec


class Bound(nn.Module, ABC):
    """One number per anchor of a contrast, whose mean estimates `I(s; o)` in nats, and the loss that trains the critic.

    `side`: on which side of the mutual information the mean lies for any critic (`upper`: for the true conditional density), None where
    it may lie on either. `capped`: no estimate exceeds `log K_i`. `is_stateful`: there is state from update to update. The best critic is
    the log ratio `log p(s, o) / p(s) p(o)` plus `baseline` (up to what the bound is invariant to). `needs_source`: the pairs themselves
    are needed, which only the row axis has. `joins_anchors`: loss or estimate of an anchor depend on the others, so that all of a batch
    are needed at once. A bound around another has the properties of that one.
    """

    derived: ClassVar[tuple[str, ...]] = ("latent", "embedding_size")
    side: Literal["lower", "upper"] | None = "lower"
    capped: bool = False
    is_stateful: bool = False
    needs_source: bool = False
    joins_anchors: bool = False
    baseline: float = 0.0

    def __init__(self, *, latent: LatentSpec, embedding_size: int) -> None:
        super().__init__()

    @abstractmethod
    def estimate(self, contrast: Contrast) -> Float[Tensor, " N"]:
        """The number of each anchor, in nats."""

    def loss(self, contrast: Contrast) -> Float[Tensor, " N"]:
        """The minimized number: the negated estimate, or one with another optimum. It has no side effect."""
        return -self.estimate(contrast)

    def loss_and_estimate(self, contrast: Contrast) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        """Both of one contrast, for a bound in which they share work. Gradients: to the loss alone."""
        loss = self.loss(contrast)
        with torch.no_grad():
            return loss, self.estimate(contrast)

    def after_update(self, contrast: Contrast) -> None:
        """Update running means with the contrast of an update."""
        return
