"""What the faults share: small runs in processes of their own, and the comparison of what they left with a run that nothing disturbed."""

import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import matplotlib.backends.backend_agg  # noqa: F401 - which each process would import by itself
import psutil
import torch

import framework
import framework.tracking.mlflow
from framework import files
from framework.replay.chunks import INDEX
from framework.training import checkpoints
from framework.training.manifest import PROGRESS
from framework.training.run import Run
from tests.training.conftest import TINY
from tests.training.test_killed import points

WIDE = ("Run.environments=2", "Trainer.pretrain=3")
MODES = {
    "serial": (),
    "workers": WIDE,
    "overlapped": (*WIDE, "Trainer.schedule='overlapped'", "Trainer.train_every=1", "Trainer.train_ratio=12.0"),
}
"""The tiny recipe of the tests, with its environments in its own process or in workers, and with steps in flight during updates."""


@dataclass(frozen=True)
class Try:
    """One fault: what was lost of a run, and what was wrong beside that, in words; `remark` is no failure."""

    steps: int = 0
    points: int = 0
    wrong: str = ""
    remark: str = ""


class Lab:
    """A folder for runs that their mirrors record, random numbers, and a log of what the processes print."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.random, self.log = folder, random.Random(), folder / "log.txt"
        self.runs = folder / "runs"
        (self.runs / "mlflow.db").mkdir(parents=True)  # in the place of a database
        self._whole: dict[str, tuple[Path, float]] = {}
        self._numbers = count()

    def new(self) -> str:
        """A name for a run, or for a folder."""
        return f"run{next(self._numbers)}"

    def compose(self, mode: str, name: str, *bindings: str) -> Run:
        return framework.compose(TINY, [f"Tracking.folder='{self.runs}'", f"Tracking.name='{name}'", *MODES[mode], *bindings])

    def find(self, name: str) -> Path | None:
        """The folder of a run that has a checkpoint."""
        return next((path.parents[2] for path in self.runs.glob(f"{name}-*/checkpoints/step-*/{PROGRESS}")), None)

    def whole(self, mode: str) -> tuple[Path, float]:
        """The folder of a run to its end, and the seconds that it took after its first checkpoint."""
        if mode not in self._whole:
            run = self.start(self.compose(mode, f"whole-{mode}").train)
            folder, started = self.wait_for_checkpoint(f"whole-{mode}", run), time.monotonic()
            run.join()
            assert folder is not None, self.log.read_text()
            self._whole[mode] = folder, time.monotonic() - started
        return self._whole[mode]

    def wait_for_checkpoint(self, name: str, run: BaseProcess) -> Path | None:
        """The folder of a run that a process trains, once it has a checkpoint; None if that ends before."""
        while self.find(name) is None and run.is_alive():
            time.sleep(0.02)
        return self.find(name)

    def start(self, work: Callable[[], object]) -> BaseProcess:
        """Begin work in a forked process, whose output goes to the log."""

        def logged() -> None:
            with self.log.open("ab") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            work()

        process = multiprocessing.get_context("fork").Process(target=logged)
        process.start()
        return process

    def call(self, work: Callable[[], object]) -> int | None:
        """The exit status of work in a forked process."""
        process = self.start(work)
        process.join(600)
        process.kill()
        return process.exitcode


def kill(process: BaseProcess) -> int:
    """Kill a process with SIGKILL; returns how many of its processes were still there 5 seconds later."""
    family = psutil.Process(process.pid).children(recursive=True) if process.is_alive() else []
    process.kill()
    process.join()
    _, orphans = psutil.wait_procs(family, timeout=5)
    for orphan in orphans:
        orphan.kill()
    return len(orphans)


def compared(folder: Path, whole: Path) -> Try:
    """A finished run against one that nothing disturbed: steps, every number of its last checkpoint and its replay, every point."""
    (ours, one), (theirs, other) = (_last(each) for each in (folder, whole))
    differing = [name for name in other if name not in one or not _equal(one[name], other[name])]
    expected, reached = Counter(points(whole)), Counter(points(folder))
    wrong = [f"{len(differing)} of {len(other)} values differ ({differing[0]})"] if differing else []
    wrong += [f"{(reached - expected).total()} points too many"] if reached - expected else []
    return Try(steps=theirs - ours, points=(expected - reached).total(), wrong="; ".join(wrong))


def _last(folder: Path) -> tuple[int, dict[str, Any]]:
    """The step and the values of the last checkpoint, but for times and names of places."""
    path = checkpoints.find(folder / "checkpoints", "latest")
    checkpoints.require_whole_replay(path)
    step, contents = checkpoints.read(path)
    values = dict(_flat({name: value for name, value in contents.items() if name not in ("settings", "policy")}, ""))
    index = files.load(path / checkpoints.REPLAY / INDEX)
    chunks = [files.load(path / checkpoints.REPLAY / name) for name, _, _ in index["chunks"]]
    values |= {f"replay/{name}": torch.cat([chunk[name] for chunk in chunks], dim=1) for name in chunks[0]}
    return step, {name: value for name, value in values.items() if not name.endswith("/seconds")} | {"sampler": index["sampler"]}


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}/{key}")
    elif isinstance(value, list | tuple):
        for key, item in enumerate(value):
            yield from _flat(item, f"{name}/{key}")
    else:
        yield name, value


def _equal(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(other, torch.Tensor) else bool(one == other)
