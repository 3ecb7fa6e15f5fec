"""Where and how precisely tensors are computed: the only place that knows a device by its name."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, final

import numpy as np
import torch

from framework.agent import Agent
from framework.data import Batch, Metrics, UpdateNoise
from framework.errors import UserError
from framework.registry import parts
from framework.training.captured import CapturedUpdate, CudaGraph
from framework.training.compiled import Compiled
from framework.training.compiled_steps import CompiledSteps
from framework.training.malloc import keep_freed_memory

Update = Callable[[Batch, UpdateNoise], Metrics]
DEVICES = ("auto", "cpu", "cuda", "mps", "xpu")


@final
@parts.register
class Runtime:
    """`device = auto` takes the accelerator that torch finds, else the CPU; `cuda:1` names one of several.

    `precision = bfloat16` runs matrix products in autocast: parameters, losses, densities and scores stay in float32.
    `compile = steps` compiles the steps of an update's loops. `auto` is `off` on a CPU, where compilation is not worth its time, and
    `steps` elsewhere, going on without where that fails. `capture = update` records a whole update as one CUDA graph. Numbers agree with
    `off` up to rounding, checkpoints are the same, and a run may be resumed with another setting.
    `threads` bounds the CPU threads of this process (None: torch's own choice). On a CPU the process keeps the memory that tensors free.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        precision: Literal["float32", "bfloat16"] = "float32",
        compile: Literal["off", "steps", "auto"] = "off",
        capture: Literal["off", "update"] = "off",
        threads: int | None = None,
    ) -> None:
        self.device = _find(device)
        self.precision, self.compile, self.capture = precision, compile, capture
        if capture != "off" and self.device.type != "cuda":
            raise UserError(f"Runtime.capture = '{capture}' needs CUDA, and the device is {self.device}; bind Runtime.capture = 'off'.")
        # Arithmetic on numbers too small to matter is slow on a CPU.
        torch.set_flush_denormal(True)
        if self.device.type == "cpu":
            keep_freed_memory()
        if threads is not None:
            if threads < 1:
                raise UserError(f"Runtime.threads = {threads} must be at least 1, or None for torch's own choice.")
            torch.set_num_threads(threads)

    @property
    def synchronous(self) -> bool:
        """Whether reading a number from a tensor costs no wait, so that every update can be looked at."""
        return self.device.type == "cpu"

    def generator(self, seed: int, stream: int) -> torch.Generator:
        """An independent source of randomness on the device for each purpose of one run."""
        return torch.Generator(self.device).manual_seed(derive(seed, stream))

    def update(self, agent: Agent) -> Update:
        """`Agent.update`, compiled and captured as `compile` and `capture` ask."""
        update: Update = agent.update
        if self.compile != "off" and not (self.compile == "auto" and self.device.type == "cpu"):
            update = Compiled(update, CompiledSteps(agent), name="the update", falls_back=self.compile == "auto")
        return update if self.capture == "off" else CapturedUpdate(update, CudaGraph(self.device))

    def autocast(self) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def derive(seed: int, stream: int) -> int:
    """A seed of its own for each purpose of one run."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1)[0])


def _find(name: str) -> torch.device:
    kind, _, index = name.partition(":")
    if kind not in DEVICES or (index and not index.isdigit()):
        raise UserError(f"Runtime.device = '{name}' is no device: bind one of {', '.join(DEVICES)}, or `cuda:1` for the second.")
    found = torch.accelerator.current_accelerator(check_available=True)
    if kind == "auto":
        return found if found is not None else torch.device("cpu")
    if kind != "cpu" and (found is None or found.type != kind):
        here = found.type if found is not None else "only a CPU"
        raise UserError(f"Runtime.device = '{name}' is not on this machine, which has {here}; bind 'auto' to take what there is.")
    if index and int(index) >= torch.accelerator.device_count():
        raise UserError(f"Runtime.device = '{name}' does not exist: there are {torch.accelerator.device_count()}, counted from 0.")
    return torch.device(name)
