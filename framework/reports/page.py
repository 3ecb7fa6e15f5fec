"""The page of a report: one HTML file with its pictures inside, which needs no network and no script."""

import base64
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsInt

from framework import __version__
from framework.reports.history import RunHistory
from framework.reports.methods import differing
from framework.reports.tables import FINISHED, Runs
from framework.visualization.comparison import encode

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from framework.reports.report import RunReport


def render(report: "RunReport") -> str:
    """The page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "interval": interval, "counted": counted}
    return environment.get_template("page.html").render(
        report=report,
        title=report.selection.title,
        version=__version__,
        written=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        protocol=protocol(report.runs),
        notes=notes(report),
        unfinished=unfinished(report),
        pictures={name: picture(draw()) for name, draw in report.figures.items()},
        returns={task: pivot(rows) for task, rows in report.table.groupby("task", sort=False)},
        aggregates=report.aggregates.groupby("method", sort=False) if len(report.aggregates) else (),
        commands=commands(report),
    )


def number(value: SupportsFloat, digits: int = 0) -> str:
    """A number with so many digits; a dash for nan."""
    return "-" if math.isnan(float(value)) else f"{float(value):,.{digits}f}"


def counted(count: SupportsInt, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{int(count)} {noun}{'' if int(count) == 1 else 's'}"


def interval(row: Any, digits: int = 0) -> str:
    """The interval of a row; empty where it has none."""
    return "" if math.isnan(row.low) else f"{row.low:,.{digits}f} to {row.high:,.{digits}f}"


def picture(figure: "Figure") -> str:
    """A figure as the address that has it inside."""
    return f"data:image/svg+xml;base64,{base64.b64encode(encode(figure, 'svg')).decode()}"


def pivot(rows: "DataFrame") -> dict[str, Any]:
    """The budgets of a task in order, and a line for each method and source: its cells by budget."""
    lines = rows.groupby(["source", "method"], sort=False)
    return {
        "budgets": sorted(rows["budget"].unique()),
        "lines": [(method, source, {row.budget: row for row in own.itertuples()}) for (source, method), own in lines],
    }


def protocol(runs: Runs) -> list[str]:
    """How the returns were measured, in sentences."""
    everyone = [each for own in runs.values() for each in own]
    episodes, every = ({f"{int(each.settings.get(f'Evaluation.{name}', 0)):,}" for each in everyone} for name in ("episodes", "every"))
    return [
        f"Returns are those of evaluation: the mean of {' or '.join(sorted(episodes))} episodes, the same ones each time, with the mode of the "
        f"policy, every {' or '.join(sorted(every))} environment steps, in environments apart from those of training.",
        "A return at a budget is the last evaluation at or before it, and never the best one.",
        "Steps are environment steps, action repeats counted. Seeds that did not reach a budget are in no mean at it.",
        "Intervals are at 95 %: percentiles of 2,000 bootstrap means, seeds drawn again within each task. One seed has no interval.",
    ]


def notes(report: "RunReport") -> list[str]:
    """What a reader must know before comparing numbers."""
    lines = []
    for method, own in report.runs.items():
        for task in dict.fromkeys(each.task for each in own):
            lines += _notes_of(f"{method} on {task}", [each for each in own if each.task == task], report.budget)
    unscaled = dict.fromkeys(each.task for own in report.runs.values() for each in own if each.full_scale is None)
    if unscaled:
        lines.append(f"Not in the aggregates, since its returns have no common scale: {', '.join(unscaled)}.")
    if not report.scores:
        lines.append("There is no aggregate over tasks: the methods share no task of the control suite.")
    return lines


def _notes_of(name: str, runs: Sequence[RunHistory], budget: int) -> list[str]:
    """What is to be said of the seeds of one method on one task."""
    lines = []
    seeds = [each.seed for each in runs]
    short = [str(each.seed) for each in runs if each.last_step < budget]
    if len(runs) == 1:
        lines.append(f"{name} has one seed, and so no interval.")
    if len({*seeds}) < len(seeds):
        lines.append(f"{name} has several runs of one seed, which are not independent: {', '.join(map(str, sorted(seeds)))}.")
    if short:
        lines.append(f"{name}: seed {', '.join(short)} did not reach {budget:,} steps, and is not in the numbers there.")
    if changed := differing([each.settings for each in runs]):
        lines.append(f"{name} has runs that differ in {', '.join(changed)}.")
    return lines


def unfinished(report: "RunReport") -> list[dict[str, str]]:
    """The runs and cells that are not finished, or have no evaluation: what they are, how they stand, how far they came, and why."""
    lines = []
    for method, each in [*((method, each) for method, own in report.runs.items() for each in own), *report.without_evaluation]:
        if each.status != FINISHED or not len(each.evaluations):
            steps = max((curve[0][-1] for curve in each.curves.values() if curve[0]), default=0)
            error = each.cell.error if each.cell else None
            lines.append(_line(method, each.task, each.seed, each.status, f"{steps:,.0f} steps", error))
    return lines + [_line(cell.key, cell.task, cell.seed, cell.status, "no metrics", cell.error) for cell in report.selection.waiting]


def _line(method: str, task: str, seed: int, status: str, reached: str, error: str | None) -> dict[str, str]:
    return {"method": method, "task": task, "seed": str(seed), "status": status, "reached": reached, "error": error or ""}


def commands(report: "RunReport") -> list[str]:
    """The commands that made the runs and this report: that of the sweep, or those of the runs."""
    made = [report.selection.sweep.command] if report.selection.sweep else _commands_of(report.runs)
    return [*made, report.command]


def _commands_of(runs: Runs) -> Sequence[str]:
    return list(dict.fromkeys(each.tags["command"] for own in runs.values() for each in own if "command" in each.tags))
