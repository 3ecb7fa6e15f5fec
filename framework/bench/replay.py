"""`dream bench replay`: drawing a batch, and storing a step, at several numbers of stored steps."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from framework.bench import machine
from framework.bench.clock import USUAL, Effort, Progress, clocked, silent
from framework.bench.report import Report, Row
from framework.bench.subject import SEED, Subject, random_steps
from framework.errors import UserError

SIZES: Final = (2_000, 20_000)
STREAMS: Final = 8
"""Steps stored at once, as of so many environments, so that filling takes less long."""
MEBIBYTE: Final = 2**20


def measure(subject: Subject, effort: Effort = USUAL, progress: Progress = silent, *, sizes: Sequence[int] = SIZES) -> Report:
    """A row for each number of stored steps; what drawing costs should not depend on it."""
    least = STREAMS * int(subject.settings["Replay.length"])
    if small := [size for size in sizes if size < least]:
        raise UserError(f"--steps {small[0]}: {STREAMS} streams of one sequence each are {least} steps; give at least as many.")
    settings = {name: subject.settings[f"Replay.{name}"] for name in ("batch", "length", "storage", "extra")}
    return Report(
        command="replay",
        title=f"Batches of {settings['batch']} x {settings['length']} from the replay of {subject.plan.recipe.stem}.",
        rows=[_row(subject, size, effort, progress) for size in sizes],
        setting=subject.facts() | settings | machine.facts(subject.runtime.device),
    )


def _row(subject: Subject, size: int, effort: Effort, progress: Progress) -> Row:
    with TemporaryDirectory(prefix="dream-") as folder:
        progress(0, effort.repeats, f"{size:,} steps: storing them")
        replay = subject.replay(steps=size, streams=STREAMS, folder=Path(folder))
        batch = replay.sample()
        drawn = sum(value.nbytes for value in (*batch.observation.values(), batch.action, batch.reward, batch.episode))
        sampling = clocked(replay.sample, subject.runtime.device, effort, f"{size:,} steps: drawing", progress)
        steps = random_steps(subject.specs, STREAMS, 1, np.random.default_rng(SEED))
        adding = clocked(lambda: replay.add(steps), subject.runtime.device, effort, f"{size:,} steps: storing", progress)
    values = {
        **sampling.milliseconds(),
        "batch_MiB": drawn / MEBIBYTE,
        "GB_per_second": drawn / sampling.median / 1e9,
        "add_ms": 1e3 * adding.median,
        "added_steps_per_second": STREAMS / adding.median,
    }
    return Row(f"{size:,} steps", values)
