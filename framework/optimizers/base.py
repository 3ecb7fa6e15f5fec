"""The contract of an optimizer."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import Metrics


class Optimizer(ABC):
    """Takes steps on one group of parameters, from gradients that the agent computed.

    A step can be captured: what changes from one to the next is in tensors, changed in place, beside the parameters wherever those have
    been moved to; and nothing is read back.
    """

    derived: ClassVar[tuple[str, ...]] = ("parameters",)

    @abstractmethod
    def __init__(self, *, parameters: Sequence[nn.Parameter]) -> None: ...

    @abstractmethod
    def step(self, gradients: Sequence[Tensor]) -> Metrics:
        """Take one step; says the norm of the gradient before it was clipped, as `gradient_norm`."""

    @abstractmethod
    def state_dict(self) -> Mapping[str, object]:
        """All that a later `load` needs to go on exactly."""

    @abstractmethod
    def load(self, content: Mapping[str, object]) -> None:
        """Go on from there; in place where steps were taken, since a captured update holds addresses. Settings stay its own."""


def load_inner(inner: torch.optim.Optimizer, content: Mapping[str, Any]) -> None:
    """What `Optimizer.load` promises, for one of torch's: its own `load_state_dict` brings new tensors, and settings too."""
    own = inner.state_dict()
    if not own["state"]:
        inner.load_state_dict({"state": content["state"], "param_groups": own["param_groups"]})
        return
    for number, kept in own["state"].items():
        for name, tensor in kept.items():
            tensor.copy_(content["state"][number][name])


def laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The same gradient in the parameter's memory layout: on a CPU the fused step (torch 2.13) reads a channels-last one scrambled."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def warmed_up(learning_rate: float, warmup: int, step: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """The learning rate of a step, the first being 1: it rises linearly over the first `warmup` steps, and stays."""
    return learning_rate * (step / max(1, warmup)).clamp(max=1.0)


def gathered(decay: float, step: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """How much weight a moving average from zero has after so many steps: `1 - decay^step`, exact where that is small."""
    return -torch.expm1(step * (math.log(decay) if decay else -math.inf))
