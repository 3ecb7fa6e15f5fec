"""What values bootstrap from or are held to: a copy of a network that follows it."""

from copy import deepcopy
from typing import Any, final

import torch
from torch import Tensor, nn

from framework.errors import UserError


@final
class SlowCopy(nn.Module):
    """A copy that moves by `rate` of the way to its source, first after the first update and then after every `every`-th.

    A moving average is a rate below 1 after every update (Dreamer V3: 0.02); a periodic copy is a rate of 1 (Dreamer V2: every 100).
    `owner` is the component that has the settings `slow_rate` and `slow_every`. What it counts is part of a checkpoint.

    Gradients: none to its parameters; to its input they pass.
    """

    updates: Tensor

    def __init__(self, *, owner: str, source: nn.Module, rate: float, every: int) -> None:
        super().__init__()
        if not 0 < rate <= 1 or every < 1:
            raise UserError(
                f"{owner}.slow_rate = {rate} must lie above 0 and be at most 1, and {owner}.slow_every = {every} be at least 1; "
                "0.02 and 1 are a moving average, 1.0 and 100 a copy now and then, 1.0 and 1 no slow copy."
            )
        self.copy = deepcopy(source).requires_grad_(False)
        self.rate, self.every = rate, every
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, *given: Any) -> Tensor:
        said: Tensor = self.copy(*given)
        return said

    @torch.no_grad()
    def after_update(self, source: nn.Module) -> None:
        """After an update of the source. When it is not yet time, a share of zero leaves the copy as it is, so that nothing waits."""
        share = self.rate * (self.updates % self.every == 0)
        for own, followed in zip(self.copy.parameters(), source.parameters(), strict=True):
            own.lerp_(followed, share)
        self.updates += 1


def slow_copy(*, owner: str, source: nn.Module, rate: float, every: int) -> SlowCopy | None:
    """None where the source itself is meant: a rate of 1 after every update."""
    copy = SlowCopy(owner=owner, source=source, rate=rate, every=every)
    return None if (rate, every) == (1, 1) else copy
