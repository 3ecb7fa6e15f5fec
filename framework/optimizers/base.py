"""The contract of an optimizer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from framework.data import Metrics


class Optimizer(ABC):
    """Takes steps on one group of parameters, from gradients that the agent computed."""

    derived: ClassVar[tuple[str, ...]] = ("parameters",)

    @abstractmethod
    def __init__(self, *, parameters: Sequence[nn.Parameter]) -> None: ...

    @abstractmethod
    def step(self, gradients: Sequence[Tensor]) -> Metrics:
        """Take one step; says the norm of the gradient before it was clipped, as `gradient_norm`."""

    @abstractmethod
    def dump(self) -> Mapping[str, object]:
        """All that a later `load` needs to go on exactly."""

    @abstractmethod
    def load(self, content: Mapping[str, object]) -> None: ...


def laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The same gradient in the parameter's memory layout: on a CPU the fused step (torch 2.13) reads a channels-last one scrambled."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def warmed_up(learning_rate: float, warmup: int, step: int) -> float:
    """The learning rate of a step, the first being 0: it rises linearly over the first `warmup` steps, and stays."""
    return learning_rate * min(1.0, (step + 1) / warmup) if warmup else learning_rate
