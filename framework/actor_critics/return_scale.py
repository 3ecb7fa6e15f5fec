"""The normalization of returns in Dreamer V3."""

from typing import Final, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.functional.returns import percentile_range

RATE: Final = 0.01
MINIMUM: Final = 1.0


@final
class ReturnScale(nn.Module):
    """A moving average of the range from the 5th to the 95th percentile of the returns, at least 1, by which advantages are divided.

        range <- 0.99 range + 0.01 (P95 - P5),    scale  max(1, range),    from a range of 0, the present batch included

    `forward` has no lasting effect; `after_update` takes the range of the latest batch over.
    """

    range: Tensor
    next_range: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("range", torch.zeros(()))
        self.register_buffer("next_range", torch.zeros(()))

    @torch.no_grad()
    def forward(self, returns: Float[Tensor, "..."]) -> Float[Tensor, ""]:
        """The scale on a batch with these returns."""
        updated = self.range.lerp(percentile_range(returns), RATE)
        self.next_range.copy_(updated)
        return updated.clamp(min=MINIMUM)

    @torch.no_grad()
    def after_update(self) -> None:
        self.range.copy_(self.next_range)
