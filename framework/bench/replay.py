"""`dream bench replay`: drawing a batch, and storing a step, at several numbers of stored steps."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from framework.bench.setup import SEED, filled_replay, setting, specs_of
from framework.errors import UserError
from framework.measurement.report import Progress, Report, Row, silent
from framework.measurement.resources import MEBIBYTE, USUAL, Effort, timed
from framework.specs import Specs
from framework.training.run import Run
from framework.vector_environments.base import random_steps

SIZES: Final = (2_000, 20_000)
STREAMS: Final = 8
"""Streams that are filled together, as of so many environments."""


def measure(
    run: Run, effort: Effort = USUAL, progress: Progress = silent, *, sizes: Sequence[int] = (), actions: int | None = None
) -> Report:
    """A row for each of `sizes`, the numbers of stored steps, on which the time of a draw should not depend."""
    settings = {name: run.composed.parameters()[f"Replay.{name}"] for name in ("batch", "length", "storage", "extra_candidates")}
    least = STREAMS * settings["length"]
    sizes = sizes or SIZES
    if small := [size for size in sizes if size < least]:
        raise UserError(f"--steps {small[0]}: {STREAMS} streams of one sequence each are {least} steps; give at least as many.")
    specs = specs_of(run, actions)
    return Report(
        command="replay",
        kind="replay",
        title=f"Batches of {settings['batch']} x {settings['length']} from the replay of {run.composed.recipe.stem}.",
        rows=[_row(run, specs, size, effort, progress) for size in sizes],
        setting=setting(run, specs) | settings,
    )


def _row(run: Run, specs: Specs, size: int, effort: Effort, progress: Progress) -> Row:
    with TemporaryDirectory(prefix="dream-") as folder:
        progress(0, 2, f"{size:,} steps: storing them")
        replay = filled_replay(run, specs, steps=size, streams=STREAMS, folder=Path(folder))
        batch = replay.sample()
        drawn = sum(value.nbytes for value in (*batch.observation.values(), batch.action, batch.reward, batch.episode))
        progress(1, 2, f"{size:,} steps: drawing and storing")
        sampling = timed(replay.sample, effort)
        steps = random_steps(specs, STREAMS, 1, np.random.default_rng(SEED))
        adding = timed(lambda: replay.add(steps), effort)
    values = {
        **sampling.milliseconds(),
        "batch_MiB": drawn / MEBIBYTE,
        "GB_per_second": drawn / sampling.median / 1e9,
        "add_ms": 1e3 * adding.median,
        "added_steps_per_second": STREAMS / adding.median,
    }
    return Row(f"{size:,} steps", values)
