"""`dream bench replay`: drawing a batch, and storing a step, at several numbers of stored steps."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from framework.bench import machine
from framework.bench.subject import SEED, Subject
from framework.errors import UserError
from framework.measurement.report import Progress, Report, Row, silent
from framework.measurement.timing import USUAL, Effort, timed
from framework.vector_environments.base import random_steps

SIZES: Final = (2_000, 20_000)
STREAMS: Final = 8
"""Streams that are filled together, as of so many environments."""
MEBIBYTE: Final = 2**20


def measure(subject: Subject, effort: Effort = USUAL, progress: Progress = silent, *, sizes: Sequence[int] = SIZES) -> Report:
    """A row for each number of stored steps, on which the time of a draw should not depend."""
    least = STREAMS * int(subject.settings["Replay.length"])
    if small := [size for size in sizes if size < least]:
        raise UserError(f"--steps {small[0]}: {STREAMS} streams of one sequence each are {least} steps; give at least as many.")
    settings = {name: subject.settings[f"Replay.{name}"] for name in ("batch", "length", "storage", "extra")}
    return Report(
        command="replay",
        kind="replay",
        title=f"Batches of {settings['batch']} x {settings['length']} from the replay of {subject.plan.recipe.stem}.",
        rows=[_row(subject, size, effort, progress) for size in sizes],
        setting=subject.facts() | settings | machine.facts(subject.runtime.device),
    )


def _row(subject: Subject, size: int, effort: Effort, progress: Progress) -> Row:
    with TemporaryDirectory(prefix="dream-") as folder:
        progress(0, 2, f"{size:,} steps: storing them")
        replay = subject.replay(steps=size, streams=STREAMS, folder=Path(folder))
        batch = replay.sample()
        drawn = sum(value.nbytes for value in (*batch.observation.values(), batch.action, batch.reward, batch.episode))
        progress(1, 2, f"{size:,} steps: drawing and storing")
        sampling = timed(replay.sample, effort)
        steps = random_steps(subject.specs, STREAMS, 1, np.random.default_rng(SEED))
        adding = timed(lambda: replay.add(steps), effort)
    values = {
        **sampling.milliseconds(),
        "batch_MiB": drawn / MEBIBYTE,
        "GB_per_second": drawn / sampling.median / 1e9,
        "add_ms": 1e3 * adding.median,
        "added_steps_per_second": STREAMS / adding.median,
    }
    return Row(f"{size:,} steps", values)
