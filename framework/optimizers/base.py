"""The contract of an optimizer."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import Metrics


class Optimizer(ABC):
    """Takes steps on one group of parameters, from gradients that the agent computed.

    A step can be captured: whatever changes from step to step is in tensors on the device of the parameters, changed in place, and is
    never read by the host. These tensors are created at the first step, since an agent may be moved after it was built.
    """

    derived: ClassVar[tuple[str, ...]] = ("parameters",)

    @abstractmethod
    def __init__(self, *, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters: list[Tensor] = list(parameters)

    @cached_property
    def steps(self) -> Float[Tensor, ""]:
        """The number of steps taken."""
        return self.parameters[0].new_zeros(())

    @abstractmethod
    def step(self, gradients: Sequence[Tensor]) -> Metrics:
        """Take one step; returns the norm of the gradient before clipping, as `gradient_norm`."""

    @abstractmethod
    def state_dict(self) -> Mapping[str, object]:
        """All that `load_state_dict` needs to continue exactly."""

    @abstractmethod
    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Continue from another optimizer's `state_dict`, in place where steps were taken. Settings stay its own."""


class TorchOptimizer(Optimizer):
    """One of torch's optimizers, on the gradient clipped to a global norm."""

    def __init__(self, *, parameters: Sequence[nn.Parameter], clip: float | None) -> None:
        super().__init__(parameters=parameters)
        self.clip = clip

    @cached_property
    @abstractmethod
    def inner(self) -> torch.optim.Optimizer:
        """Built at its first use: the constructor imports torch's compiler, which the check of a recipe has no use for."""

    def step(self, gradients: Sequence[Tensor]) -> Metrics:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = in_layout_of(parameter, gradient)
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip, norm)
        self.inner.step()
        return {"gradient_norm": norm.detach()}

    def state_dict(self) -> Mapping[str, object]:
        return self.inner.state_dict()

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        own = self.inner.state_dict()
        if not own["state"]:
            self.inner.load_state_dict({"state": content["state"], "param_groups": own["param_groups"]})
            return
        # In place: torch's own `load_state_dict` would bring new tensors, and settings too.
        for index, state in own["state"].items():
            for name, tensor in state.items():
                tensor.copy_(content["state"][index][name])


def in_layout_of(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in the memory layout of its parameter; on a CPU the fused step (torch 2.13) misreads a channels-last one."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def warmed_up(learning_rate: float, warmup: int, step: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """The learning rate of a step, counted from 1: `min(1, (step - 1) / warmup)` of the whole, as in Dreamer V3."""
    return learning_rate * ((step - 1) / warmup).clamp(max=1.0) if warmup else torch.full_like(step, learning_rate)


def bias_correction(decay: float, step: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """The total weight of a moving average that started at zero, `1 - decay^step`, exact where it is small."""
    return -torch.expm1(step * (math.log(decay) if decay else -math.inf))
