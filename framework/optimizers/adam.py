"""Adam with a clipped gradient."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from framework import optimizers
from framework.data import Metrics
from framework.errors import UserError
from framework.optimizers.base import Optimizer, laid_out_as, load_inner


@final
@optimizers.register
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015) on the gradient clipped to a global norm. Dreamer V1 clips at 100 and has Keras's epsilon of 1e-7."""

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
        self.parameters, self.clip = list(parameters), clip
        self.inner = torch.optim.Adam(self.parameters, lr=learning_rate, eps=epsilon, fused=True, capturable=True)

    def step(self, gradients: Sequence[Tensor]) -> Metrics:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = laid_out_as(parameter, gradient)
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip, norm)
        self.inner.step()
        return {"gradient_norm": norm.detach()}

    def state_dict(self) -> Mapping[str, object]:
        return self.inner.state_dict()

    def load(self, content: Mapping[str, object]) -> None:
        load_inner(self.inner, content)
