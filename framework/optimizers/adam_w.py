"""Adam with decoupled weight decay and warm-up."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor, nn

from framework import optimizers
from framework.data import Metrics
from framework.errors import UserError
from framework.optimizers.base import TorchOptimizer, warmed_up


@final
@optimizers.register
class AdamW(TorchOptimizer):
    """Dreamer V2's optimizer: AdamW (Loshchilov and Hutter, 2019) on the gradient clipped to a global norm of 100.

    Decay 1e-6, of matrices and kernels alone, and epsilon 1e-5. The learning rate rises linearly, from 0 at the first step, over
    `warmup` steps.
    """

    def __init__(
        self,
        *,
        parameters: Sequence[nn.Parameter],
        learning_rate: float,
        decay: float = 1e-6,
        epsilon: float = 1e-5,
        clip: float | None = 100.0,
        warmup: int = 0,
    ) -> None:
        if learning_rate <= 0 or decay < 0 or warmup < 0 or (clip is not None and clip <= 0):
            raise UserError(
                f"AdamW.learning_rate = {learning_rate} and AdamW.clip = {clip} must be positive (clip may be None), "
                f"AdamW.decay = {decay} and AdamW.warmup = {warmup} at least 0."
            )
        super().__init__(parameters=parameters, clip=clip)
        self.learning_rate, self.decay, self.epsilon, self.warmup = learning_rate, decay, epsilon, warmup

    @cached_property
    def inner(self) -> torch.optim.AdamW:
        matrices = [parameter for parameter in self.parameters if parameter.dim() > 1]
        vectors = [parameter for parameter in self.parameters if parameter.dim() <= 1]
        groups = [{"params": matrices, "weight_decay": self.decay}, {"params": vectors, "weight_decay": 0.0}]
        nonempty = [group for group in groups if group["params"]]
        return torch.optim.AdamW(nonempty, lr=self.learning_rate, eps=self.epsilon, fused=True, capturable=True)

    def step(self, gradients: Sequence[Tensor]) -> Metrics:
        self.steps.add_(1)
        rate = warmed_up(self.learning_rate, self.warmup, self.steps)
        for group in self.inner.param_groups:
            group["lr"] = rate
        return super().step(gradients)

    def state_dict(self) -> Mapping[str, object]:
        return {"inner": super().state_dict(), "steps": self.steps}

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        super().load_state_dict(content["inner"])
        self.steps.copy_(content["steps"])
