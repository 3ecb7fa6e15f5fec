"""LaProp with adaptive gradient clipping."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor, nn

from framework import optimizers
from framework.data import Metrics
from framework.errors import UserError
from framework.optimizers.base import Optimizer, bias_correction, in_layout_of, warmed_up


@final
@optimizers.register
class LaProp(Optimizer):
    """Dreamer V3's optimizer: LaProp, which averages normalized gradients, with adaptive gradient clipping; Ziyin et al. (2020).

        v = b2 v + (1 - b2) g^2,    m = b1 m + (1 - b1) g / (sqrt v + eps),    p -= rate m

    Both averages are corrected for their start at zero. The gradient of each tensor is first clipped to `clip` times the norm of its
    parameter, which counts as at least `smallest_norm` (Brock et al., 2021; over whole tensors, as in Dreamer V3: 0.3 and 1e-3). The
    learning rate rises linearly, from 0 at the first step, over `warmup` steps (V3: 1,000).
    """

    def __init__(
        self,
        *,
        parameters: Sequence[nn.Parameter],
        learning_rate: float,
        momentum: float = 0.9,
        decay: float = 0.999,
        epsilon: float = 1e-20,
        clip: float | None = 0.3,
        smallest_norm: float = 1e-3,
        warmup: int = 1000,
    ) -> None:
        if learning_rate <= 0 or warmup < 0 or (clip is not None and clip <= 0):
            raise UserError(
                f"LaProp.learning_rate = {learning_rate} and LaProp.clip = {clip} must be positive (clip may be None), "
                f"LaProp.warmup = {warmup} at least 0."
            )
        if not (0 <= momentum < 1 and 0 <= decay < 1):
            raise UserError(f"LaProp.momentum = {momentum} and LaProp.decay = {decay} must be at least 0 and below 1.")
        super().__init__(parameters=parameters)
        self.learning_rate, self.momentum, self.decay, self.epsilon = learning_rate, momentum, decay, epsilon
        self.clip, self.smallest_norm, self.warmup = clip, smallest_norm, warmup

    @cached_property
    def squares(self) -> list[Tensor]:
        """The average `v` of each parameter."""
        return [torch.zeros_like(parameter, requires_grad=False) for parameter in self.parameters]

    @cached_property
    def means(self) -> list[Tensor]:
        """The average `m` of each parameter."""
        return [torch.zeros_like(parameter, requires_grad=False) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> Metrics:
        norm = torch.nn.utils.get_total_norm(gradients)
        ordered = [in_layout_of(parameter, gradient) for parameter, gradient in zip(self.parameters, gradients, strict=True)]
        clipped = ordered if self.clip is None else self._clipped(ordered)
        self.steps.add_(1)
        torch._foreach_mul_(self.squares, self.decay)
        torch._foreach_addcmul_(self.squares, clipped, clipped, 1 - self.decay)
        root = torch._foreach_sqrt(torch._foreach_div(self.squares, bias_correction(self.decay, self.steps)))
        torch._foreach_add_(root, self.epsilon)
        torch._foreach_lerp_(self.means, torch._foreach_div(clipped, root), 1 - self.momentum)
        rate = warmed_up(self.learning_rate, self.warmup, self.steps) / bias_correction(self.momentum, self.steps)
        torch._foreach_sub_(self.parameters, torch._foreach_mul(self.means, rate))
        return {"gradient_norm": norm.detach()}

    def state_dict(self) -> Mapping[str, object]:
        return {"squares": self.squares, "means": self.means, "steps": self.steps}

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        torch._foreach_copy_(self.squares, content["squares"])
        torch._foreach_copy_(self.means, content["means"])
        self.steps.copy_(content["steps"])

    def _clipped(self, gradients: list[Tensor]) -> list[Tensor]:
        """`g min(1, clip max(|p|, smallest) / |g|)` for each tensor."""
        assert self.clip is not None
        largest = torch._foreach_mul(torch._foreach_clamp_min(torch._foreach_norm(self.parameters), self.smallest_norm), self.clip)
        excess = torch._foreach_clamp_min(torch._foreach_div(torch._foreach_norm(gradients), list(largest)), 1.0)
        return list(torch._foreach_div(gradients, excess))
