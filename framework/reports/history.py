"""One run as a report has it: its evaluations, its settings and its machine, read from its folder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np

from framework.sweeps.record import Cell
from framework.tracking import jsonl
from framework.tracking.runs import read_run
from framework.visualization.estimates import ESTIMATE, Curve

if TYPE_CHECKING:
    from pandas import DataFrame, Series

FINISHED: Final = "finished"
FULL_SCALE: Final = {"DMControl": 1000.0}
"""The highest return of every task of an environment, where there is one."""
SHORT_HASH: Final = 10


@final
@dataclass(frozen=True)
class RunHistory:
    """What a run's folder holds: its `settings` as they were last, its `tags`, and the steps and finite values of each metric, `curves`.

    `status` is `finished`, or how else it ended or stands. `cell` is its cell where the report is about one sweep. `commit` has those of
    the first start and of every resume, each with a + where files had been changed since.
    """

    folder: Path
    name: str
    status: str
    settings: Mapping[str, str]
    tags: Mapping[str, str]
    curves: Mapping[str, Curve]
    cell: Cell | None = None
    commit: str = ""

    @property
    def recipe(self) -> str:
        return self.tags.get("recipe", self.name).removesuffix(".gin")

    @property
    def task(self) -> str:
        """The task of the environment, or the environment's name where it has none."""
        tasks = [value for key, value in self.settings.items() if key.endswith(".task")]
        return tasks[0] if tasks else self.settings.get("Run.environment", "unknown").rpartition(".")[2]

    @property
    def seed(self) -> int:
        return int(self.tags.get("seed", 0))

    @property
    def observation(self) -> str:
        """What the agent observes, in the words of the published returns."""
        background = self.settings.get("Distractors.background", "None")
        behind = {"None": "", "procedural": ", procedural background"}.get(background, ", natural background")
        return self.settings.get("DMControl.observe", "unknown") + behind

    @property
    def full_scale(self) -> float | None:
        """The return that counts as 1; None where returns have no common scale."""
        return next((scale for name, scale in FULL_SCALE.items() if f"{name}.task" in self.settings), None)

    @property
    def machine(self) -> str:
        return " · ".join(self.tags[name] for name in ("host", "device") if name in self.tags)

    @property
    def updates_per_second(self) -> float:
        """The median over the intervals of the log in which the agent was updated; acting and evaluation count as time."""
        rates = [rate for rate in self.curves.get("time/updates_per_second", ([], []))[1] if rate > 0]
        return float(np.median(rates)) if rates else math.nan

    @cached_property
    def evaluations(self) -> "DataFrame":
        """A row for each evaluation, in the order of steps: `step`, `minutes`, `return`, `return_std`, `episodes`, `estimate`.

        Minutes and the estimate in nats are interpolated between the two lines of the log around the step.
        """
        import pandas as pd

        steps, returns = self.curves.get("eval/return", ([], []))
        columns = {"step": np.array(steps, int), "minutes": self._at(steps, "time/minutes", origin=True), "return": np.array(returns)}
        columns |= {name: self._at(steps, f"eval/{name}") for name in ("return_std", "episodes")}
        columns["estimate"] = self._at(steps, ESTIMATE)
        return pd.DataFrame(columns)

    @property
    def is_lower_bound(self) -> bool:
        """Whether the estimate is a lower bound on the mutual information."""
        _, values = self.curves.get("contrastive/is_lower_bound", ([], []))
        return not values or values[-1] == 1.0

    @property
    def reached(self) -> int:
        """The last step of any metric."""
        return max((steps[-1] for steps, _ in self.curves.values() if steps), default=0)

    @property
    def last_step(self) -> int:
        """The step of the last evaluation."""
        return int(self.evaluations["step"].iloc[-1])

    def at(self, budget: int) -> "Series | None":
        """The last evaluation at or before a step; None where the run did not reach the step, or had none by then."""
        earlier = self.evaluations[self.evaluations["step"] <= budget]
        return earlier.iloc[-1] if len(earlier) and self.last_step >= budget else None

    def _at(self, steps: list[int], metric: str, *, origin: bool = False) -> np.ndarray:
        """A metric at these steps; nan where it was never logged. With `origin` it is 0 at step 0."""
        logged, values = self.curves.get(metric, ([], []))
        if not logged:
            return np.full(len(steps), math.nan)
        return np.interp(steps, [0.0, *logged], [0.0, *values]) if origin else np.interp(steps, logged, values)


def read_history(folder: Path, cell: Cell | None = None) -> RunHistory:
    """Read a run's folder. Raises `UserError` where it has no record or no metrics."""
    record, status = read_run(folder), "unfinished"
    settings: dict[str, str] = {}
    tags: dict[str, str] = {}
    commits: dict[str, None] = {}
    points: dict[str, dict[int, float]] = {}
    for each in jsonl.read(folder):
        kind, values = each["kind"], each.get("values", {})
        if kind == "params":
            settings = {name: value for name, value in values.items() if "." in name}  # the others are those of a sweep's cell
        elif kind == "tags":
            commits |= {_commit(values): None}
            tags = values | tags  # a resume names `resolved.gin` as the recipe and itself as the command
        elif kind == "metrics":
            status = "unfinished"
            for name, value in values.items():
                points.setdefault(name, {})[each["step"]] = float(value)
        elif kind == "close":
            status = each["status"].lower()
    curves = {name: _finite(by_step) for name, by_step in points.items()}
    status = cell.status if cell and status != FINISHED else status
    return RunHistory(folder, record.name, status, settings, tags, curves, cell, " ".join(commits))


def _commit(tags: Mapping[str, str]) -> str:
    return tags.get("git.commit", "")[:SHORT_HASH] + ("+" if tags.get("git.changed") == "true" else "")


def _finite(by_step: Mapping[int, float]) -> Curve:
    """Steps in order, and the values there; those that are not finite are left out."""
    kept = [(step, value) for step, value in sorted(by_step.items()) if math.isfinite(value)]
    return [step for step, _ in kept], [value for _, value in kept]
