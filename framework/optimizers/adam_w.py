"""Adam with decoupled weight decay and warm-up."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor, nn

from framework import optimizers
from framework.data import Metrics
from framework.errors import UserError
from framework.optimizers.base import Optimizer, laid_out_as, load_inner, warmed_up


@final
@optimizers.register
class AdamW(Optimizer):
    """AdamW (Loshchilov and Hutter, 2019) on the gradient clipped to a global norm; matrices and kernels decay, vectors do not.

    Dreamer V2 has decay 1e-6, epsilon 1e-5 and clips at 100. The learning rate rises linearly over the first `warmup` steps.
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
        self.parameters, self.clip = list(parameters), clip
        self.learning_rate, self.warmup = learning_rate, warmup
        decaying = [parameter for parameter in self.parameters if parameter.dim() > 1]
        others = [parameter for parameter in self.parameters if parameter.dim() <= 1]
        groups = [{"params": decaying, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
        kept = [group for group in groups if group["params"]]
        self.inner = torch.optim.AdamW(kept, lr=learning_rate, eps=epsilon, fused=True, capturable=True)

    @cached_property
    def steps(self) -> Tensor:
        """How many were taken; made when it is first needed, as all that an optimizer keeps: an agent is moved after it was built."""
        return self.parameters[0].new_zeros(())

    def step(self, gradients: Sequence[Tensor]) -> Metrics:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = laid_out_as(parameter, gradient)
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip, norm)
        self.steps.add_(1)
        rate = warmed_up(self.learning_rate, self.warmup, self.steps)
        for group in self.inner.param_groups:
            group["lr"] = rate
        self.inner.step()
        return {"gradient_norm": norm.detach()}

    def state_dict(self) -> Mapping[str, object]:
        return {"inner": self.inner.state_dict(), "steps": self.steps}

    def load(self, content: Mapping[str, Any]) -> None:
        load_inner(self.inner, content["inner"])
        self.steps.copy_(content["steps"])
