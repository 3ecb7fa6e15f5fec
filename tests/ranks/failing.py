"""A strategy that ends its rank or the job: with a signal, or with an error."""

import os
import signal
import time
from typing import Literal, final

import torch
from torch import Tensor

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.contrastive.origin import Origin
from framework.data import Factory
from framework.functional.random import Key
from framework.negatives.base import Negatives

How = Literal["error", "SIGTERM", "SIGKILL", "SIGINT of torchrun", "SIGTERM of torchrun"]


@final
@negatives.register
class Failing(Negatives):
    """Keeps all candidates. After the update number `at`, the second rank fails, or sends a signal to itself or to torchrun."""

    updates: Tensor

    def __init__(self, *, at: int = 0, how: How = "SIGTERM", of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        self.at, self.how = at, how
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        return contrast

    def after_update(self, embeddings: Tensor, origin: Origin) -> None:
        self.updates += 1
        if self.updates == self.at and os.environ.get("RANK") == "1":
            print(f"failing at {time.time()}", flush=True)
            if self.how == "error":
                raise RuntimeError("the second rank fails")
            name, _, of_torchrun = self.how.partition(" of ")
            os.kill(os.getppid() if of_torchrun else os.getpid(), signal.Signals[name])
            time.sleep(2 if of_torchrun else 0)  # until torchrun has sent it to the ranks
