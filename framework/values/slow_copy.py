"""Values of one network, and its slow copy."""

from abc import abstractmethod
from copy import deepcopy
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.errors import UserError
from framework.values.base import Value


@final
class SlowCopy(nn.Module):
    """A copy that moves by `rate` of the way to its source after the first update, and then after every `every`-th.

    A moving average has a rate below 1 after every update (Dreamer V3: 0.02), a periodic copy a rate of 1 (Dreamer V2: every 100).
    The count of updates is part of a checkpoint.

    Gradients: none to its parameters; to its input they pass.
    """

    updates: Tensor

    def __init__(self, *, source: nn.Module, rate: float, every: int) -> None:
        super().__init__()
        self.copy = deepcopy(source).requires_grad_(False)
        self.rate, self.every = rate, every
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B O"]:
        outputs: Tensor = self.copy(features)
        return outputs

    @torch.no_grad()
    def after_update(self, source: nn.Module) -> None:
        """Move toward the source; between two moves by a share of zero, so that the host waits for no device."""
        share = self.rate * (self.updates % self.every == 0)
        for own, other in zip(self.copy.parameters(), source.parameters(), strict=True):
            own.lerp_(other, share)
        self.updates += 1


class NetworkValue(Value):
    """A value computed from the outputs of one network, with a slow copy to bootstrap from unless that would equal the network."""

    def __init__(self, *, feature_size: int, net: nn.Module, slow_rate: float, slow_every: int) -> None:
        super().__init__(feature_size=feature_size)
        if not 0 < slow_rate <= 1 or slow_every < 1:
            name = type(self).__name__
            raise UserError(
                f"{name}.slow_rate = {slow_rate} must lie above 0 and be at most 1, and {name}.slow_every = {slow_every} be at least 1; "
                "0.02 and 1 are a moving average, 1.0 and 100 a periodic copy, 1.0 and 1 no slow copy."
            )
        self.net = net
        self.slow = None if (slow_rate, slow_every) == (1, 1) else SlowCopy(source=net, rate=slow_rate, every=slow_every)

    @abstractmethod
    def value_of(self, outputs: Float[Tensor, "*B O"]) -> Float[Tensor, "*B"]:
        """The value from the outputs of the network."""

    def forward(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self.value_of(self.net(features))

    def slow_value(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self.value_of((self.net if self.slow is None else self.slow)(features))

    def bootstrap(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B"]:
        return self.slow_value(features)

    def after_update(self) -> None:
        if self.slow is not None:
            self.slow.after_update(self.net)
