"""A report over runs: its tables, its figures, and the files that have both."""

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from framework.errors import UserError
from framework.registry import advice
from framework.reports import notes, tables
from framework.reports.figures import find_figures
from framework.reports.history import RunHistory
from framework.reports.methods import name_methods
from framework.reports.page import render
from framework.reports.selection import Selection, select
from framework.reports.tables import Runs
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
    """The tables and the figures of some runs. In a notebook it shows its page.

    Args:
        budget: the environment steps at which methods are compared over tasks.
        tables: pandas tables: `returns` at fixed budgets, ours and published ones, all `evaluations`, `runs`, `aggregates` and
            `improvement` over tasks, `contrastive` metrics, and `differences` of settings.
        figures: what draws each figure, such as `step-cartpole_swingup`.
        facts: `protocol`, `warnings` and `commands` in sentences, and what is `unfinished`.
        page: where it was written.
    """

    title: str
    budget: int
    tables: "Mapping[str, DataFrame]"
    figures: "Mapping[str, Callable[[], Figure]]"
    facts: Mapping[str, Sequence[Any]]
    page: Path | None = None

    @property
    def table(self) -> "DataFrame":
        """Returns at fixed budgets."""
        return self.tables["returns"]

    def figure(self, name: str) -> "Figure":
        """One of the figures, drawn."""
        if name not in self.figures:
            raise UserError(f"The report has no figure '{name}'{advice(name, self.figures)}.")
        return self.figures[name]()

    def json(self) -> dict[str, Any]:
        """All tables and facts; what is not a number is null."""
        records = {name: json.loads(table.to_json(orient="records")) for name, table in self.tables.items()}
        return {"title": self.title, "budget": self.budget, **self.facts, **records}

    def write(self, folder: Path) -> Path:
        """Write the page, every figure as PNG, every table as CSV, and all of them as JSON; returns the page."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, draw in self.figures.items():
                (folder / re.sub(r"[^\w.-]", "_", f"{name}.png")).write_bytes(encode(draw(), "png"))
            for name, table in self.tables.items():
                table.to_csv(folder / f"{name}.csv", index=False)
            (folder / "report.json").write_text(json.dumps(self.json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            (folder / PAGE).write_text(render(self), encoding="utf-8")
        except OSError as error:
            raise UserError(f"The report cannot be written to {folder} ({error.strerror}): give another folder with -o.") from error
        self.page = folder / PAGE
        return self.page

    def _repr_html_(self) -> str:
        return render(self)


def report(*names: str, tags: Mapping[str, str] | None = None, folder: str | Path = "runs", out: str | Path | None = None) -> RunReport:
    """A report over a sweep, over runs by their names, ids or folders, or over all runs that have these tags.

    It is written to `out`, if that is given; that of a sweep is always written, by default to `report/` in the sweep's folder, and is an
    artifact of the sweep's run in MLflow. Raises `UserError` where a name fits nothing, no run has an evaluation, or the runs have nothing
    in common.
    """
    selection = select(names, tags or {}, Path(folder).absolute())
    methods = name_methods(selection.histories)
    runs: dict[str, list[RunHistory]] = {}
    for method, each in zip(methods, selection.histories, strict=True):
        if len(each.evaluations):
            runs.setdefault(method, []).append(each)
    _require_comparable(selection, runs)
    made = _report(selection, methods, runs)
    if selection.sweep:
        _record(selection.sweep, made.write(Path(out) if out else selection.sweep.folder / ARTIFACT).parent)
    elif out:
        made.write(Path(out))
    return made


def _report(selection: Selection, methods: Sequence[str], runs: Runs) -> RunReport:
    budget = tables.common_budget(runs)
    scores = tables.scores_of(runs, budget)
    return RunReport(
        title=selection.title,
        budget=budget,
        tables={
            "returns": tables.return_table(runs, budget),
            "evaluations": tables.evaluation_table(runs),
            "runs": tables.run_table(runs),
            "aggregates": tables.aggregate_table(scores),
            "improvement": tables.improvement_table(scores),
            "contrastive": tables.contrastive_table(runs),
            "differences": tables.difference_table(runs),
        },
        figures=find_figures(runs, scores),
        facts={
            "protocol": notes.protocol(runs),
            "warnings": notes.warnings(runs, budget, scores),
            "unfinished": notes.unfinished(selection, methods),
            "commands": [*notes.commands(selection), provenance.command()],
        },
    )


def _require_comparable(selection: Selection, runs: Runs) -> None:
    if not runs:
        raise UserError(
            f"No run of {selection.title} has an evaluation: train beyond the prefill and one interval of Evaluation.every, or name others."
        )
    pairs = [(method, each.task) for method, own in runs.items() for each in own]
    methods, tasks = (Counter(column) for column in zip(*pairs, strict=True))
    if not selection.sweep and len(pairs) > 1 and max(methods.values()) == max(tasks.values()) == 1:
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

        log_folder(sweep.tracking_uri, sweep.parent_run_id, folder, ARTIFACT)
    except Exception as error:  # whatever is wrong with a store, the report is written
        log.warning("MLflow does not take the report of %s (%s); it is in %s.", sweep.name, store.masked(str(error)), folder)
