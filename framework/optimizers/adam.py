"""Adam with gradient clipping."""

from collections.abc import Sequence
from functools import cached_property
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
        super().__init__(parameters=parameters, clip=clip)
        self.learning_rate, self.epsilon = learning_rate, epsilon

    @cached_property
    def inner(self) -> torch.optim.Adam:
        return torch.optim.Adam(self.parameters, lr=self.learning_rate, eps=self.epsilon, fused=True, capturable=True)
