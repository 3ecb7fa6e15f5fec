"""The contract of an objective."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from dm_env import specs
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework.contrastive.origin import Origin
from framework.data import ActionSpec, InferredBatch, Latent, LatentSpec, Losses, Metrics, Pictures
from framework.dynamics.base import Dynamics
from framework.functional.random import Key


class Objective(nn.Module, ABC):
    """An auxiliary loss that ties latents to observations.

    `losses` names its losses, each `[B, T]`. The world model adds `scale` times the mean of each; an objective of several losses
    overrides `loss_scales` with a weight for each. `needs_second_view` asks for a second augmented view of the batch.
    """

    derived: ClassVar[tuple[str, ...]] = ("latent", "embedding_size", "observation", "action")
    losses: ClassVar[tuple[str, ...]]
    needs_second_view: bool = False

    @abstractmethod
    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        observation: Mapping[str, specs.Array],
        action: ActionSpec,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.scale = scale

    @property
    def loss_scales(self) -> Mapping[str, float]:
        """The weight of each loss in the loss of the world model."""
        return dict.fromkeys(self.losses, self.scale)

    @abstractmethod
    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        """The losses `[B, T]` by name, and metrics; a function of its arguments and the parameters, without side effect."""

    @property
    def slow_rate(self) -> float | None:
        """The rate of the slow copy of the encoder that this objective needs; None where it needs none."""
        return None

    def after_update(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> None:
        """Update queues, running means and slow copies, after the parameters have moved."""
        return

    def diagnose(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Metrics:
        """Metrics too expensive for every update; computed once per logging interval, without gradient."""
        return {}

    def pictures(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Pictures:
        """`uint8` pictures `[height, width, channel]` by name, on request."""
        return {}


def predict(inferred: InferredBatch, dynamics: Dynamics, action: Float[Tensor, "B T A"]) -> Latent:
    """The prior of every step under other actions: `p(s_t | s_{t-1}, a_{t-1})`, at its mean."""
    batch = inferred.batch
    rows, times = batch.reward.shape
    starts = batch.is_first.index_fill(1, torch.zeros_like(batch.episode[0, :1]), True)
    before = inferred.posterior.map(lambda part: part.roll(1, dims=1)).flatten()
    before = dynamics.initial(rows * times).where(rearrange(starts, "b t -> (b t) 1"), before)
    flat = rearrange(action * ~batch.is_first[..., None], "b t a -> (b t) a")
    return dynamics.imagine_step(before, flat, torch.zeros_like(before.stochastic))


def predict_at(inferred: InferredBatch, dynamics: Dynamics, action: Float[Tensor, "R A"], steps: Origin) -> Latent:
    """The same for some steps alone."""
    is_first = inferred.batch.is_first[steps.row, steps.time]
    before = inferred.posterior.map(lambda part: part[steps.row, steps.time - 1])
    before = dynamics.initial(action.shape[0]).where((is_first | (steps.time == 0))[:, None], before)
    return dynamics.imagine_step(before, action * ~is_first[:, None], torch.zeros_like(before.stochastic))
