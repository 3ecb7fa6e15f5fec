"""Adam with gradient clipping."""

from collections.abc import Sequence
from typing import final

import torch
from torch import nn

from framework import optimizers
from framework.errors import UserError
from framework.optimizers.base import TorchOptimizer


@final
@optimizers.register
class Adam(TorchOptimizer):
    """Dreamer V1's optimizer: Adam (Kingma and Ba, 2015) on the gradient clipped to a global norm of 100, with Keras's epsilon of 1e-7."""

    def __init__(
        self,
        *,
        parameters: Sequence[nn.Parameter],
        learning_rate: float,
        epsilon: float = 1e-7,
        clip: float | None = 100.0,
    ) -> None:
        if learning_rate <= 0 or (clip is not None and clip <= 0):
            raise UserError(f"Adam.learning_rate = {learning_rate} and Adam.clip = {clip} must be positive; Adam.clip may be None.")
        inner = torch.optim.Adam(parameters, lr=learning_rate, eps=epsilon, fused=True, capturable=True)
        super().__init__(parameters=parameters, inner=inner, clip=clip)
