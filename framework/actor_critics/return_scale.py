"""What keeps one entropy scale right for every size of reward: returns divided by their own range."""

from typing import Final, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.functional.returns import percentile_range

RATE: Final = 0.01
LEAST: Final = 1.0


@final
class ReturnScale(nn.Module):
    """A moving average of the range from the 5th to the 95th percentile of the returns, at least 1: Dreamer V3.

        range <- 0.99 range + 0.01 (P95 - P5),    scale  max(1, range),    from a range of 0, and with the present batch in it

    A loss may be asked twice: it only notes the range of its batch, and `after_update` takes it over.
    """

    range: Tensor
    next_range: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("range", torch.zeros(()))
        self.register_buffer("next_range", torch.zeros(()))

    @torch.no_grad()
    def forward(self, returns: Float[Tensor, "..."]) -> Float[Tensor, ""]:
        """What to divide by, on a batch with these returns."""
        found = self.range.lerp(percentile_range(returns), RATE)
        self.next_range.copy_(found)
        return found.clamp(min=LEAST)

    @torch.no_grad()
    def after_update(self) -> None:
        """After the update on that batch."""
        self.range.copy_(self.next_range)
