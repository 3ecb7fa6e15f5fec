"""The contract of an objective."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from framework.contrastive.contrast import Contrast
from framework.data import InferredBatch, Losses, Metrics, Pictures
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional.masking import masked
from framework.functional.random import Key
from framework.specs import ModelSpecs


class Objective(nn.Module, ABC):
    """An auxiliary loss that ties latents to observations.

    `losses` names its losses, each `[B, T]`. The world model adds the mean of each times its weight in `loss_scales`, which is `scale`
    where there is one loss; where steps have none, the others are scaled so that the mean is theirs. `needs_second_view`: it needs a
    second augmented view of the batch. `slow_rate`: the rate of the slow copy of the encoder that it needs. `reach`: the setting by which
    a step needs a later one of its sequence, and how many steps later.
    """

    derived: ClassVar[tuple[str, ...]] = ("model",)
    losses: ClassVar[tuple[str, ...]]
    needs_second_view: bool = False
    slow_rate: float | None = None
    reach: tuple[str, int] | None = None
    loss_scales: Mapping[str, float]

    @abstractmethod
    def __init__(self, *, model: ModelSpecs, scale: float = 1.0) -> None:
        super().__init__()
        self.loss_scales = dict.fromkeys(self.losses, scale)

    @abstractmethod
    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        """The losses `[B, T]` by name, and metrics; a function of its arguments and the parameters, without side effect."""

    @property
    def is_lower_bound(self) -> bool | None:
        """Whether its `contrastive/estimate` is a lower bound on the mutual information; None where it estimates nothing."""
        return None

    def check(self, *, rows: int, times: int, extra: int) -> None:
        """Refuse batches of `rows` sequences of `times` steps, with `extra` single steps, that the loss is not defined for."""
        self.check_length(times)

    @final
    def check_length(self, times: int) -> None:
        """Refuse sequences that are too short. It is called in every update, and reads no tensor."""
        setting, steps = self.reach or ("", 0)
        if times <= steps:
            name = f"{type(self).__name__}.{setting}"
            raise UserError(
                f"{name} = {getattr(self, setting)}, and sequences are {times} steps long; bind a Replay.length of at least {steps + 1}, "
                f"or a smaller {name}."
            )

    @final
    @torch.no_grad()
    def contrast(self, inferred: InferredBatch, dynamics: Dynamics | None = None, key: Key | None = None) -> Contrast:
        """The scores, log-weights and origins of a batch, as training has them: each anchor's own candidate is on the diagonal.

        Of several contrasts it is the first: the smallest offset, the first block of anchors, before any step ahead. `dynamics` is needed
        by strategies that predict; `key` is what strategies draw from, 0 by default. Raises `UserError` where nothing is contrasted.
        """
        return self._contrast(inferred, dynamics, torch.zeros_like(inferred.batch.episode[0, 0]) if key is None else key)

    def _contrast(self, inferred: InferredBatch, dynamics: Dynamics | None, key: Key) -> Contrast:
        raise UserError(f"{type(self).__name__} scores no latents against candidates; ask an objective that does, such as InfoNCE.")

    def after_update(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> None:
        """Update queues, running means and slow copies, after the parameters have moved."""
        return

    def diagnose(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Metrics:
        """Metrics too expensive for every update; computed once per logging interval, without gradient."""
        return {}

    def pictures(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Pictures:
        """`uint8` pictures `[height, width, channel]` by name, on request."""
        return {}


def same_episode(episode: Int[Tensor, "B T"], steps: int) -> Bool[Tensor, "B L"]:
    """Whether a step and the one `steps` later are of the same episode, for all but the last `steps`."""
    return episode[:, : episode.shape[1] - steps] == episode[:, steps:]


def of_pairs(loss: Float[Tensor, "B L"], valid: Bool[Tensor, "B L"], steps: int) -> Float[Tensor, "B T"]:
    """Losses of pairs `steps` apart as losses of all steps, whose mean is that over valid pairs: the others are 0."""
    return masked(F.pad(loss, (0, steps)), F.pad(valid, (0, steps)))


def after_warm_up(loss: Float[Tensor, "B L"], steps: int) -> Float[Tensor, "B T"]:
    """Losses of what follows the first `steps` as losses of all steps, whose mean is theirs: those of the first are 0."""
    return F.pad(loss * ((loss.shape[1] + steps) / loss.shape[1]), (steps, 0))
