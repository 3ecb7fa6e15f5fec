"""An optimizer of your own: one of torch's, on the clipped gradient."""

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
class MyComponent(TorchOptimizer):
    """AMSGrad (Reddi et al., 2018) on the gradient clipped to a global norm.

    Derive from `optimizers.Optimizer` for steps of your own; `LaProp` is an example.
    """

    def __init__(self, *, parameters: Sequence[nn.Parameter], learning_rate: float = 1e-3, clip: float | None = 100.0) -> None:
        super().__init__(parameters=parameters, clip=clip)
        if learning_rate <= 0:
            raise UserError(f"MyComponent.learning_rate = {learning_rate} must be more than 0.")
        self.learning_rate = learning_rate

    @cached_property
    def inner(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters, lr=self.learning_rate, amsgrad=True, fused=True, capturable=True)
