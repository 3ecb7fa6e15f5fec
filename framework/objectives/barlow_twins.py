"""R2-Dreamer: latent and embedding agree in each dimension, without negatives, augmentation or a decoder."""

from typing import ClassVar, final

import torch
from einops import rearrange
from torch import nn

from framework import objectives
from framework.data import InferredBatch, Losses, Metrics
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional.precision import full_precision
from framework.functional.random import Key
from framework.functional.redundancy import cross_correlation, off_diagonal, redundancy_loss
from framework.nn.blocks import truncated_normal
from framework.objectives.base import Objective
from framework.specs import ModelSpecs


@final
@objectives.register
class BarlowTwins(Objective):
    """`sum_i (1 - c_ii)^2 + redundancy sum_{i != j} c_ij^2`: `c` correlates `W [z, h]` with the embedding of the same step.

    *R2-Dreamer* (2026, arXiv 2603.18202), after Zbontar et al. (2021): both sides are standardized over the batch, `W` is one linear map
    without bias from a truncated normal, `redundancy` is 5e-4 and the loss has the scale 0.05. It is one number for the batch, the same at
    every step.

    Gradients: none to the embedding as a target, so that the encoder learns through the posterior alone.
    """

    losses: ClassVar[tuple[str, ...]] = ("barlow",)

    def __init__(
        self,
        *,
        model: ModelSpecs,
        scale: float = 0.05,
        redundancy: float = 5e-4,
    ) -> None:
        super().__init__(model=model, scale=scale)
        if redundancy < 0:
            raise UserError(f"BarlowTwins.redundancy = {redundancy} must be 0 or more; 5e-4 is usual.")
        self.redundancy = redundancy
        self.map = truncated_normal(nn.Linear(model.latent.feature_size, model.embedding_size, bias=False))

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        with full_precision(inferred.embedding.device):
            prediction = rearrange(self.map(inferred.posterior.features.float()), "b t e -> (b t) e")
            target = rearrange(inferred.embedding.detach().float(), "b t e -> (b t) e")
            every = torch.ones(target.shape[0], dtype=torch.bool, device=target.device)
            correlation = cross_correlation(prediction, target, every)
            loss = redundancy_loss(correlation, self.redundancy)
        metrics = {
            "model/barlow_agreement": correlation.detach().diagonal().mean(),
            "model/barlow_redundancy": off_diagonal(correlation.detach()).square().mean().sqrt(),
        }
        return {"barlow": loss.expand(inferred.batch.reward.shape)}, metrics
