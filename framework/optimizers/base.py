"""The contract of an optimizer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

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
