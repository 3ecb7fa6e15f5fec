"""A strategy that stops its rank: with a signal that a user may send, or with an error."""

import os
import signal
from typing import Literal, final

import torch
from torch import Tensor

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.contrastive.origin import Origin
from framework.data import Factory
from framework.functional.random import Key
from framework.negatives.base import Negatives


@final
@negatives.register
class Failing(Negatives):
    """Keeps all candidates. After the update number `at`, the second rank alone is stopped."""

    updates: Tensor

    def __init__(self, *, at: int = 0, how: Literal["signal", "error"] = "signal", of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        self.at, self.how = at, how
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        return contrast

    def after_update(self, embeddings: Tensor, origin: Origin) -> None:
        self.updates += 1
        if self.updates == self.at and os.environ.get("RANK") == "1":
            if self.how == "error":
                raise RuntimeError("the second rank fails")
            os.kill(os.getpid(), signal.SIGTERM)
