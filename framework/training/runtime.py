"""Device, precision, compilation and threads: the only place that names a device."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Literal, final

import numpy as np
import torch

from framework.agent import Agent
from framework.errors import UserError
from framework.registry import parts
from framework.training.captured import CapturedUpdate, CudaGraph, Update
from framework.training.compiled_steps import CompiledSteps

DEVICES: Final = ("auto", "cpu", "cuda", "mps", "xpu")
SMALL: Final = 2_000_000
"""Parameters up to which an agent trains on one CPU thread: a second one was not found to make it faster."""
MOST_THREADS: Final = 1024
TRIM_THRESHOLD: Final = -1
MMAP_THRESHOLD: Final = -3
"""Parameters of glibc's `mallopt`, by their numbers in `malloc.h`."""
LARGEST: Final = 2**30
"""Bytes above which a tensor is mapped by itself, such as a replay; glibc's own limit is at most 32 MiB."""


@final
@parts.register
class Runtime:
    """`device = auto` is torch's accelerator if there is one, else the CPU; `cuda:1` names one of several.

    Under `torchrun` an accelerator without a number is that of the rank on its machine (`LOCAL_RANK`); several ranks are untested on CUDA.

    `precision = bfloat16` runs matrix products in autocast: parameters, losses, densities and scores stay in float32.
    `compile = steps` compiles the steps of an update's loops. `auto` is `off` on a CPU, where compilation is not worth its time, and
    `steps` elsewhere, uncompiled where that fails. `capture = update` records a whole update as one CUDA graph; it is untested on CUDA.
    Numbers agree with `off` up to rounding, checkpoints are the same, and a run may be resumed with another setting.
    `threads` is the number of CPU threads of a training. `None` is one thread for a small agent on a CPU, else torch's own choice.
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
        self.device = _device(device)
        self.precision, self.compile, self.capture, self.threads = precision, compile, capture, threads
        if capture != "off" and self.device.type != "cuda":
            raise UserError(f"Runtime.capture = '{capture}' needs CUDA, and the device is {self.device}; bind Runtime.capture = 'off'.")
        if threads is not None and not 1 <= threads <= MOST_THREADS:
            raise UserError(f"Runtime.threads = {threads} must be between 1 and {MOST_THREADS}, or None for one that fits the agent.")

    @property
    def synchronous(self) -> bool:
        """Whether reading a number from a tensor costs no wait, so that every update can be checked."""
        return self.device.type == "cpu"

    def collectives(self) -> str:
        """The backends of torch.distributed for ranks on this device: NCCL there, which is untested, and Gloo between CPUs."""
        if self.device.type not in ("cpu", "cuda"):
            raise UserError(f"Several ranks need CPUs or CUDA devices, and the device is {self.device}; bind Runtime.device = 'cpu'.")
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        return "gloo" if self.device.type == "cpu" else "cpu:gloo,cuda:nccl"

    def prepare_process(self, agent: Agent) -> None:
        """Set this process up to train an agent: its threads, its memory, and the arithmetic of denormal numbers.

        Nothing else changes the process; a training and a benchmark call this when they start.
        """
        torch.set_flush_denormal(True)  # arithmetic on denormal numbers is slow on a CPU
        if self.device.type == "cpu":
            keep_freed_memory()
        small = self.device.type == "cpu" and sum(agent.parameter_count().values()) <= SMALL
        threads = 1 if self.threads is None and small else self.threads
        if threads is not None:
            torch.set_num_threads(threads)

    def generator(self, seed: int, stream: int) -> torch.Generator:
        """A random generator on the device, independent for each stream of one seed."""
        return torch.Generator(self.device).manual_seed(derive(seed, stream))

    def update(self, agent: Agent) -> Update:
        """`Agent.update`, compiled and captured as `compile` and `capture` ask."""
        update: Update = agent.update
        if self.compile != "off" and not (self.compile == "auto" and self.device.type == "cpu"):
            update = CompiledSteps(agent, falls_back=self.compile == "auto")
        return update if self.capture == "off" else CapturedUpdate(update, CudaGraph(self.device))

    def autocast(self) -> AbstractContextManager[object]:
        """The context of the forward pass that `precision` asks for."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def derive(seed: int, stream: int) -> int:
    """A seed for one stream of a run's randomness."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1)[0])


@contextmanager
def freeing_cycles() -> Iterator[None]:
    """Free objects that refer to each other, as those of a figure do, at the end of a block.

    Once they are old, Python looks for them only when a quarter of all objects is new, which is after a dozen evaluations.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        if enabled:
            gc.enable()


def keep_freed_memory() -> bool:
    """Stop glibc from returning freed memory to the system; whether that was possible.

    Otherwise the system clears every page of the next large tensor again: on a CPU that is a fifth of a large update. The process keeps
    about the peak of its allocations.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return sys.platform == "linux" and all(mallopt(*setting) == 1 for setting in ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, -1)))


def _device(name: str) -> torch.device:
    kind, _, index = name.partition(":")
    if kind not in DEVICES or (index and not index.isdigit()):
        raise UserError(f"Runtime.device = '{name}' is no device: bind one of {', '.join(DEVICES)}, or `cuda:1` for the second.")
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is not None and kind in ("auto", accelerator.type) and not index and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return _device(f"{accelerator.type}:{os.environ.get('LOCAL_RANK', '0')}")
    if kind == "auto":
        return accelerator if accelerator is not None else torch.device("cpu")
    if kind != "cpu" and (accelerator is None or accelerator.type != kind):
        available = accelerator.type if accelerator is not None else "only a CPU"
        raise UserError(f"Runtime.device = '{name}' is not on this machine, which has {available}; bind 'auto' to take what there is.")
    if index and int(index) >= torch.accelerator.device_count():
        raise UserError(f"Runtime.device = '{name}' does not exist: there are {torch.accelerator.device_count()}, counted from 0.")
    return torch.device(name)
