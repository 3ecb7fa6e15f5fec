"""A whole update recorded once, on memory of its own, and then launched as one graph."""

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeVar, final, runtime_checkable

import torch
from torch import Tensor

from framework.data import Batch, Metrics, UpdateNoise
from framework.errors import UserError

Result = TypeVar("Result")
WARM_UP: Final = 3
"""Updates before one is recorded: they compile, choose algorithms, and make what optimizers keep."""


@runtime_checkable
class Graph(Protocol):
    """Work of a device, recorded with the addresses of all that it reads and writes."""

    def warm_up(self, work: Callable[[], Result]) -> Result:
        """Do the work as it will be recorded."""

    def record(self, work: Callable[[], Result]) -> Result:
        """Record the work and do not do it; what comes back is filled by `replay`."""

    def replay(self) -> None:
        """Do what was recorded."""


@final
class CudaGraph:
    """A CUDA graph. Written after PyTorch's notes on CUDA semantics, and never run yet: no accelerator was at hand."""

    def __init__(self, device: torch.device) -> None:
        self._graph, self._side = torch.cuda.CUDAGraph(), torch.cuda.Stream(device)

    def warm_up(self, work: Callable[[], Result]) -> Result:
        """On a stream beside the usual one, as recording will be."""
        usual = torch.cuda.current_stream()
        self._side.wait_stream(usual)
        with torch.cuda.stream(self._side):
            result = work()
        usual.wait_stream(self._side)
        return result

    def record(self, work: Callable[[], Result]) -> Result:
        with torch.cuda.graph(self._graph, stream=self._side):
            return work()

    def replay(self) -> None:
        self._graph.replay()


@final
class CapturedUpdate:
    """Gives what `learn` gives. The first calls are as they always were; the next is recorded, and it and all later ones are replayed.

    Batch and chance are copied to where the recorded update reads them, so that drawing stays outside; parameters, and whatever else an
    update changes, must be changed in place, by numbers that are in tensors. The metrics are read when somebody asks for them.
    """

    def __init__(self, learn: Callable[[Batch, UpdateNoise], Metrics], graph: Graph) -> None:
        self._learn, self._graph, self._calls = learn, graph, 0
        self._batch: Batch | None = None
        self._chance: UpdateNoise | None = None
        self._names: list[str] = []
        self._values: Tensor | None = None

    def __call__(self, batch: Batch, chance: UpdateNoise) -> Metrics:
        if self._calls < WARM_UP:
            self._calls += 1
            return self._graph.warm_up(partial(self._learn, batch, chance))
        if self._batch is None or self._chance is None:
            self._record(batch, chance)
        else:
            _fill(_tensors(self._batch, self._chance), _tensors(batch, chance))
        self._graph.replay()
        assert self._values is not None
        return dict(zip(self._names, self._values.clone().unbind(), strict=True))

    def _record(self, batch: Batch, chance: UpdateNoise) -> None:
        held = batch.map(torch.clone), chance.map(torch.clone)
        try:
            metrics, self._values = self._graph.record(partial(self._said, *held))
        except RuntimeError as error:
            raise UserError(
                f"The update cannot be captured ({str(error).splitlines()[0]}): something in it waits for the device; "
                "bind Runtime.capture = 'off', or find it with torch.cuda.set_sync_debug_mode('error')."
            ) from error
        self._names = [*metrics]
        self._batch, self._chance = held

    def _said(self, batch: Batch, chance: UpdateNoise) -> tuple[Metrics, Tensor]:
        """The metrics side by side, so that one copy keeps them from the next replay."""
        metrics = self._learn(batch, chance)
        return metrics, torch.stack([value.detach().float() for value in metrics.values()])


def _tensors(batch: Batch, chance: UpdateNoise) -> list[Tensor]:
    """All of them, always in the same order."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    batch.map(keep)
    chance.map(keep)
    return found


def _fill(held: list[Tensor], given: list[Tensor]) -> None:
    for target, source in zip(held, given, strict=True):
        assert target.shape == source.shape, "a recorded update takes batches of one shape"
        target.copy_(source, non_blocking=True)
