"""`dream bench run`: a whole run for a while, everything recorded, and where its time goes."""

import statistics
from collections.abc import Sequence
from functools import partial
from itertools import dropwhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from framework.bench.setup import setting
from framework.errors import UserError
from framework.measurement.report import Progress, Report, Row, Value, silent
from framework.measurement.resources import Effort
from framework.tracking.jsonl import read
from framework.training.api import compose
from framework.training.run import Run
from framework.training.run_logger import STAGES

MINUTE: Final = Effort(seconds=60.0, repeats=1)
SHORT: Final = ("Trainer.pretrain=0", "Evaluation.episodes=1")
"""With these a short run spends its time as a long one does; bindings of the command line override them."""


def measure(run: Run, effort: Effort = MINUTE, progress: Progress = silent) -> Report:
    """One row: the means over time of the run's own metrics in `time/`, after the first of its logging intervals with updates.

    The run is composed again to train in a temporary folder, with a store of its own, for `effort.seconds`, the prefill included.
    """
    with TemporaryDirectory(prefix="dream-") as folder:
        settings = [*SHORT, f"Trainer.minutes={effort.seconds / 60}", *run.composed.overrides, f"Tracking.folder={folder!r}"]
        run = compose(run.composed.recipe, settings)
        result = run.train()
        intervals = _intervals(result.folder)
    if not intervals:
        raise UserError(
            f"In {effort.seconds:g} s the run did not log one interval with updates; give more --seconds, or bind a smaller "
            "Trainer.prefill and Run.log_every."
        )
    mean = partial(_mean, intervals)
    values: dict[str, Value] = {f"share_{stage}": mean(f"share_{stage}") for stage in STAGES}
    values |= {
        "share_outside_updates": 1.0 - mean("share_update"),
        "updates_per_second": mean("updates_per_second"),
        "environment_steps_per_second": mean("steps_per_second"),
        "ms_per_update": 1e3 * mean("share_update") / mean("updates_per_second"),
        "updates": result.progress.updates,
        "environment_steps": result.progress.step,
        "intervals": len(intervals),
    }
    return Report(
        command="run",
        kind="run",
        title=f"A whole run of {run.composed.recipe.stem}, after its prefill.",
        rows=[Row("run", values)],
        setting=setting(run),
    )


def _intervals(folder: Path) -> list[dict[str, float]]:
    """The timings and the length of each logging interval since updates began.

    The first also compiles and warms up, and is left out if there are others. Later ones count without updates too, since all updates
    of a burst may fall into the next.
    """
    logged = [each["values"] for each in read(folder) if each["kind"] == "metrics" and "time/minutes" in each["values"]]
    starts = [0.0, *(float(values["time/minutes"]) for values in logged)]
    timed = [
        {name.removeprefix("time/"): float(value) for name, value in values.items()} | {"minutes": float(values["time/minutes"]) - start}
        for values, start in zip(logged, starts, strict=False)
    ]
    intervals = [*dropwhile(lambda values: "seconds_per_update" not in values, timed)]
    return intervals[1:] or intervals


def _mean(intervals: Sequence[dict[str, float]], name: str) -> float:
    """The mean over time: an interval counts by its length."""
    return statistics.fmean((each[name] for each in intervals), weights=[each["minutes"] for each in intervals])
