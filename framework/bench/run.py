"""`dream bench run`: a whole run for a while, everything recorded, and where its time goes."""

import statistics
from collections.abc import Sequence
from functools import partial
from itertools import dropwhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from framework.bench import env
from framework.bench.clock import USUAL, Effort, Progress, silent
from framework.bench.report import Report, Row, Value
from framework.errors import UserError
from framework.tracking.jsonl import read
from framework.training.api import compose
from framework.training.run_logger import STAGES

SHORT: Final = ("Trainer.pretrain=0", "Evaluation.episodes=1")
"""So that a short run is mostly what a long one is; the command line may say otherwise."""


def measure(
    recipe: str, bindings: Sequence[str] = (), imports: Sequence[str] = (), effort: Effort = USUAL, progress: Progress = silent
) -> Report:
    """One row: the means over time of what the run itself logs in `time/`, after the first of its logging intervals with updates.

    It is trained in a temporary folder, with a store of its own, for `effort.seconds`, of which the prefill takes its part.
    """
    progress(0, 1, "training")
    with TemporaryDirectory(prefix="dream-") as folder:
        bound = [*SHORT, f"Trainer.minutes={effort.seconds / 60}", *bindings, f"Tracking.folder={folder!r}"]
        run = compose(recipe, bound, imports=imports)
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
        title=f"A whole run of {run.composed.recipe.stem}, after its prefill.",
        rows=[Row("run", values)],
        setting=env.setting(run),
    )


def _intervals(folder: Path) -> list[dict[str, float]]:
    """The timings of each logging interval since updates began, and how long it was.

    The first also compiles and warms up, and is left out if there are others. Later ones count without updates too: those of a burst
    may be all in the next.
    """
    logged = [each["values"] for each in read(folder) if each["kind"] == "metrics" and "time/minutes" in each["values"]]
    before = [0.0, *(float(values["time/minutes"]) for values in logged)]
    timed = [
        {name.removeprefix("time/"): float(value) for name, value in values.items()} | {"minutes": float(values["time/minutes"]) - begun}
        for values, begun in zip(logged, before, strict=False)
    ]
    found = [*dropwhile(lambda values: "seconds_per_update" not in values, timed)]
    return found[1:] or found


def _mean(intervals: Sequence[dict[str, float]], name: str) -> float:
    """Over time: a longer interval counts for more."""
    return statistics.fmean((each[name] for each in intervals), weights=[each["minutes"] for each in intervals])
