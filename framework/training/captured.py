"""An update captured as one CUDA graph. Untested on CUDA: no accelerator was at hand when this was written."""

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar, final

import torch
from torch import Tensor

from framework.data import Batch, Metrics, UpdateNoise
from framework.errors import UserError

Result = TypeVar("Result")
Update = Callable[[Batch, UpdateNoise], Metrics]
WARM_UP: Final = 3
"""Plain updates before the capture: they compile, choose algorithms, and allocate the state of optimizers."""


@final
class CudaGraph:
    """Recorded work of a device, with the addresses of all that it reads and writes; after PyTorch's notes on CUDA semantics."""

    def __init__(self, device: torch.device) -> None:
        self._graph, self._side = torch.cuda.CUDAGraph(), torch.cuda.Stream(device)

    def warm_up(self, work: Callable[[], Result]) -> Result:
        """Do the work on the stream on which it will be recorded."""
        current = torch.cuda.current_stream()
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            result = work()
        current.wait_stream(self._side)
        return result

    def record(self, work: Callable[[], Result]) -> Result:
        """Record the work without doing it; `replay` fills the tensors of the result."""
        with torch.cuda.graph(self._graph, stream=self._side):
            return work()

    def replay(self) -> None:
        """Do the recorded work."""
        self._graph.replay()


@final
class CapturedUpdate:
    """`Agent.update`, plain for the first calls, then recorded; that call and all later ones replay the record.

    Batch and noise are copied to the addresses that the recorded update reads. Parameters, and whatever else an update changes, must be
    changed in place, by numbers that are in tensors. Metrics are copies, which the next replay does not change.
    """

    def __init__(self, update: Update, graph: CudaGraph) -> None:
        self._update, self._graph, self._calls = update, graph, 0
        self._inputs: list[Tensor] | None = None
        self._names: list[str] = []
        self._values: Tensor | None = None

    def __call__(self, batch: Batch, noise: UpdateNoise) -> Metrics:
        if self._calls < WARM_UP:
            self._calls += 1
            return self._graph.warm_up(partial(self._update, batch, noise))
        if self._inputs is None:
            self._record(batch.map(torch.clone), noise.map(torch.clone))
        else:
            for target, source in zip(self._inputs, _tensors(batch, noise), strict=True):
                assert target.shape == source.shape, "a recorded update takes batches of one shape"
                target.copy_(source, non_blocking=True)
        self._graph.replay()
        assert self._values is not None
        return dict(zip(self._names, self._values.clone().unbind(), strict=True))

    def _record(self, batch: Batch, noise: UpdateNoise) -> None:
        try:
            metrics, self._values = self._graph.record(partial(self._stacked, batch, noise))
        except RuntimeError as error:
            raise UserError(
                f"The update cannot be captured ({str(error).splitlines()[0]}): something in it waits for the device; "
                "bind Runtime.capture = 'off', or find it with torch.cuda.set_sync_debug_mode('error')."
            ) from error
        self._names, self._inputs = [*metrics], _tensors(batch, noise)

    def _stacked(self, batch: Batch, noise: UpdateNoise) -> tuple[Metrics, Tensor]:
        """The metrics, and their values in one tensor, so that one copy keeps them from the next replay."""
        metrics = self._update(batch, noise)
        return metrics, torch.stack([value.detach().float() for value in metrics.values()])


def _tensors(batch: Batch, noise: UpdateNoise) -> list[Tensor]:
    """Every tensor of both, in a fixed order."""
    tensors: list[Tensor] = []

    def collect(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        return tensor

    batch.map(collect)
    noise.map(collect)
    return tensors
