"""The contract of an objective, and what it is given."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from dm_env import specs
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework.contrastive.contrast import ExtraCandidates
from framework.data import ActionSpec, Batch, Latent, LatentSpec, Losses, Metrics, Origin, Pictures
from framework.dynamics.base import Dynamics
from framework.functional.random import Key


@dataclass(frozen=True)
class View:
    """The observations of a batch, augmented once more: what the encoder makes of them, and its slow copy where there is one."""

    embedding: Float[Tensor, "B T E"]
    slow_embedding: Float[Tensor, "B T E"] | None = None


@dataclass(frozen=True)
class InferredBatch:
    """A batch as the world model sees it.

    `slow_embedding` is that of the encoder's slow copy, where an objective asked for one; `drawn` what `Replay.extra` gave; `second`
    another view of the batch, in training alone, where an objective asked for it. Only the first view is filtered.
    """

    posterior: Latent
    prior: Latent
    embedding: Float[Tensor, "B T E"]
    batch: Batch
    dynamics: Dynamics
    slow_embedding: Float[Tensor, "B T E"] | None = None
    drawn: ExtraCandidates | None = None
    second: View | None = None

    def detach(self) -> "InferredBatch":
        """The same without gradient, for what comes after the step."""
        return replace(
            self,
            posterior=self.posterior.detach(),
            prior=self.prior.detach(),
            embedding=self.embedding.detach(),
            drawn=self.drawn and replace(self.drawn, embedding=self.drawn.embedding.detach()),
            second=self.second and replace(self.second, embedding=self.second.embedding.detach()),
        )

    def predict(self, action: Float[Tensor, "B T A"]) -> Latent:
        """The prior of every step, had these actions led to it: `p(s_t | s_{t-1}, a_{t-1})`, at its mean."""
        rows, times = self.batch.reward.shape
        starts = self.batch.is_first.index_fill(1, torch.zeros_like(self.batch.episode[0, :1]), True)
        before = self.posterior.map(lambda part: part.roll(1, dims=1)).flatten()
        before = self.dynamics.initial(rows * times).where(rearrange(starts, "b t -> (b t) 1"), before)
        flat = rearrange(action * ~self.batch.is_first[..., None], "b t a -> (b t) a")
        return self.dynamics.imagine_step(before, flat, torch.zeros_like(before.stochastic))

    def predict_at(self, action: Float[Tensor, "R A"], steps: Origin) -> Latent:
        """The same of some steps alone."""
        is_first = self.batch.is_first[steps.row, steps.time]
        before = self.posterior.map(lambda part: part[steps.row, steps.time - 1])
        before = self.dynamics.initial(action.shape[0]).where((is_first | (steps.time == 0))[:, None], before)
        return self.dynamics.imagine_step(before, action * ~is_first[:, None], torch.zeros_like(before.stochastic))


class Objective(nn.Module, ABC):
    """What makes a latent and its observation tell of each other: named losses `[B, T]`.

    `needs_second_view` says that it compares two views of the batch, and so needs an encoder that augments.
    """

    derived: ClassVar[tuple[str, ...]] = ("latent", "embedding_size", "observation", "action")
    losses: ClassVar[tuple[str, ...]]
    needs_second_view: bool = False

    @abstractmethod
    def __init__(self, *, latent: LatentSpec, embedding_size: int, observation: Mapping[str, specs.Array], action: ActionSpec) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, seen: InferredBatch, key: Key) -> tuple[Losses, Metrics]: ...

    @property
    def slow_rate(self) -> float | None:
        """How fast the slow copy of the encoder, which this objective needs, follows; None where it needs none."""
        return None

    def after_update(self, seen: InferredBatch, key: Key) -> None:
        """Take in a batch whose update is done: queues, running means, slow copies."""
        return

    def diagnose(self, seen: InferredBatch, key: Key) -> Metrics:
        """What is too expensive for every update; read once per logging interval, without gradient."""
        return {}

    def pictures(self, seen: InferredBatch, key: Key) -> Pictures:
        """`uint8` pictures `[height, width, channel]` by name, on request."""
        return {}
