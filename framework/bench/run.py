"""`dream bench run`: a whole run for a while, everything recorded, and where its time goes."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from framework.bench import env
from framework.bench.clock import USUAL, Effort, Progress, silent
from framework.bench.report import Report, Row, Value
from framework.errors import UserError
from framework.tracking.jsonl import read
from framework.training.journal import STAGES
from framework.training.run import compose

SHORT: Final = ("Trainer.pretrain=0", "Evaluation.episodes=1")
"""So that a short run is mostly what a long one is; the command line may say otherwise."""


def measure(
    recipe: str, bindings: Sequence[str] = (), imports: Sequence[str] = (), effort: Effort = USUAL, progress: Progress = silent
) -> Report:
    """One row: the means of what the run itself logs in `time/`, over its logging intervals with updates, without the first of them.

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
    values: dict[str, Value] = {f"share_{stage}": _mean(intervals, f"time/share_{stage}") for stage in STAGES}
    values |= {
        "share_outside_updates": 1.0 - _mean(intervals, "time/share_update"),
        "updates_per_second": _mean(intervals, "time/updates_per_second"),
        "environment_steps_per_second": _mean(intervals, "time/steps_per_second"),
        "ms_per_update": 1e3 * _mean(intervals, "time/seconds_per_update"),
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
    """The timings of each logging interval with updates; the first also compiles and warms up, and is left out if there are others."""
    logged = [each["values"] for each in read(folder) if each["kind"] == "metrics"]
    found = [{name: float(value) for name, value in values.items()} for values in logged if "time/seconds_per_update" in values]
    return found[1:] or found


def _mean(intervals: Sequence[dict[str, float]], name: str) -> float:
    return statistics.fmean(each[name] for each in intervals)
