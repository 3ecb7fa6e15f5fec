"""A report over runs: its tables, its figures, and the files that have both."""

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from framework.errors import UserError
from framework.registry import advice
from framework.reports import tables
from framework.reports.figures import find_figures
from framework.reports.history import RunHistory
from framework.reports.methods import differences, name_methods
from framework.reports.page import notes, protocol, render, unfinished
from framework.reports.selection import Selection, select
from framework.reports.tables import Runs, Scored
from framework.sweeps.record import SweepRecord
from framework.tracking import provenance, store
from framework.visualization.comparison import encode

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

PAGE: Final = "report.html"
ARTIFACT: Final = "report"
"""The folder of the artifacts, and of the files of a sweep."""

log = logging.getLogger(__name__)


@final
@dataclass(eq=False)
class RunReport:
    """The tables and the figures of some runs: those with an evaluation, by method. In a notebook it shows its page.

    `command` is the one that made it, and `page` the file where it was written.
    """

    selection: Selection
    runs: Runs
    without_evaluation: Sequence[tuple[str, RunHistory]]
    command: str
    page: Path | None = None

    @cached_property
    def budget(self) -> int:
        """The environment steps that all finished runs reached."""
        return tables.common_budget(self.runs)

    @cached_property
    def table(self) -> "DataFrame":
        """Returns at fixed budgets, ours and published ones; see `return_table`."""
        return tables.return_table(self.runs, self.budget)

    @cached_property
    def evaluations(self) -> "DataFrame":
        """Every evaluation of every run."""
        return tables.evaluation_table(self.runs)

    @cached_property
    def run_table(self) -> "DataFrame":
        """How each run ended, its speed and its machine."""
        return tables.run_table(self.runs)

    @cached_property
    def scores(self) -> Scored:
        """Normalized scores at the budget."""
        return tables.scores_of(self.runs, self.budget)

    @cached_property
    def aggregates(self) -> "DataFrame":
        """Interquartile mean, median, mean and optimality gap over tasks."""
        return tables.aggregate_table(self.scores)

    @cached_property
    def improvement(self) -> "DataFrame":
        """The probability that one method scores above another."""
        return tables.improvement_table(self.scores)

    @cached_property
    def differences(self) -> "DataFrame":
        """The settings in which methods differ: a row for each, a column for each method."""
        import pandas as pd

        pairs = [(each, method) for method, own in self.runs.items() for each in own]
        return pd.DataFrame.from_dict(differences(*map(list, zip(*pairs, strict=True))), orient="index", columns=list(self.runs))

    @cached_property
    def figures(self) -> "Mapping[str, Callable[[], Figure]]":
        """What draws each figure, by its name."""
        return find_figures(self.runs, self.scores)

    def figure(self, name: str) -> "Figure":
        """One of the `figures`, such as `step-cartpole_swingup`, drawn."""
        if name not in self.figures:
            raise UserError(f"The report has no figure '{name}'{advice(name, self.figures)}.")
        return self.figures[name]()

    def json(self) -> dict[str, Any]:
        """All tables and notes; what is not a number is null."""
        facts = {"title": self.selection.title, "command": self.command, "budget": self.budget, "protocol": protocol(self.runs)}
        facts |= {"notes": notes(self), "unfinished": unfinished(self), "differences": self.differences.T.to_dict()}
        records = {name: json.loads(table.to_json(orient="records")) for name, table in self._tables().items()}
        return facts | records

    def write(self, folder: Path) -> Path:
        """Write the page, every figure as PNG, every table as CSV, and all of them as JSON; returns the page."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, draw in self.figures.items():
                (folder / re.sub(r"[^\w.-]", "_", f"{name}.png")).write_bytes(encode(draw(), "png"))
            for name, table in self._tables().items():
                table.to_csv(folder / f"{name}.csv", index=False)
            (folder / "report.json").write_text(json.dumps(self.json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            (folder / PAGE).write_text(render(self), encoding="utf-8")
        except OSError as error:
            raise UserError(f"The report cannot be written to {folder} ({error.strerror}): give another folder with -o.") from error
        self.page = folder / PAGE
        return self.page

    def _tables(self) -> "Mapping[str, DataFrame]":
        return {
            "returns": self.table,
            "evaluations": self.evaluations,
            "runs": self.run_table,
            "aggregates": self.aggregates,
            "improvement": self.improvement,
        }

    def _repr_html_(self) -> str:
        return render(self)


def report(*names: str, tags: Mapping[str, str] | None = None, folder: str | Path = "runs", out: str | Path | None = None) -> RunReport:
    """A report over a sweep, over runs by their names, ids or folders, or over all runs that have these tags.

    It is written to `out`, if that is given; that of a sweep is always written, by default to `report/` in the sweep's folder, and is an
    artifact of the sweep's run in MLflow. Raises `UserError` where a name fits nothing, no run has an evaluation, or the runs have nothing
    in common.
    """
    selection = select(names, tags or {}, Path(folder).absolute())
    runs: dict[str, list[RunHistory]] = {}
    without_evaluation = []
    for method, each in zip(name_methods(selection.histories), selection.histories, strict=True):
        if len(each.evaluations):
            runs.setdefault(method, []).append(each)
        else:
            without_evaluation.append((method, each))
    _require_comparable(selection, runs)
    made = RunReport(selection, runs, without_evaluation, provenance.command())
    if selection.sweep:
        _record(selection.sweep, made.write(Path(out) if out else selection.sweep.folder / ARTIFACT).parent)
    elif out:
        made.write(Path(out))
    return made


def _require_comparable(selection: Selection, runs: Runs) -> None:
    if not runs:
        raise UserError(
            f"No run of {selection.title} has an evaluation: train beyond the prefill and one interval of Evaluation.every, or name others."
        )
    pairs = [(method, each.task) for method, own in runs.items() for each in own]
    methods, tasks = (Counter(column) for column in zip(*pairs, strict=True))
    if len(pairs) > 1 and max(methods.values()) == max(tasks.values()) == 1:
        ran = ", ".join(f"{method} on {task}" for method, task in pairs)
        raise UserError(f"The runs have neither a method nor a task in common ({ran}): name runs that do, or report on each alone.")


def _record(sweep: SweepRecord, folder: Path) -> None:
    """Make the files of a report artifacts of the sweep's run in MLflow, where it has one."""
    if sweep.parent_run_id is None:
        return
    try:
        path = store.database(sweep.tracking_uri)
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"there is no {path}")
        from framework.tracking.mlflow_store import log_folder

        log_folder(sweep.tracking_uri, sweep.folder.parent, sweep.parent_run_id, folder, ARTIFACT)
    except Exception as error:  # whatever is wrong with a store, the report is written
        log.warning("MLflow does not take the report of %s (%s); it is in %s.", sweep.name, store.masked(str(error)), folder)
