"""The plot of `dream lab cost`."""

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from framework.errors import UserError
from framework.lab.report import Report, Row

MEASURES: Final = {"ratio": "time, in units of BilinearCritic x InBatch", "MiB": "memory at the peak, MiB"}
BLUE, ORANGE = "#0072B2", "#D55E00"
"""Of Okabe and Ito (2008)."""


def plot(report: Report) -> Figure:
    """A dot for each pair where either stays the same, a grid of all pairs where both vary; both scales are logarithmic."""
    rows = [row for row in report.rows if row.also]
    if not rows:
        raise UserError("There is nothing to plot: no pair of these critics and strategies can go together.")
    names, others = list(dict.fromkeys(row.name for row in rows)), sorted({_strategy(row) for row in rows})
    if len(report.rows) == len(names) * len(others) and min(len(names), len(others)) > 1:
        return _grid(report, names, others)
    return _dots(report, rows)


def _dots(report: Report, rows: Sequence[Row]) -> Figure:
    figure = Figure(figsize=(11, 1.6 + 0.25 * len(rows)), dpi=130, layout="constrained")
    baseline = str(report.setting["baseline"]).split(" x ")
    labels = [" x ".join(part for part in (row.name, _strategy(row)) if part not in baseline) or " x ".join(baseline) for row in rows]
    left, right = figure.subplots(1, 2, sharey=True)
    _line(left, [_value(row, "ratio") for row in rows], [f"{_short(_value(row, 'milliseconds'))} ms" for row in rows], BLUE)
    _line(right, [_value(row, "MiB") for row in rows], [_short(_value(row, "MiB")) for row in rows], ORANGE)
    left.axvline(1.0, color="#444444", linestyle="--", linewidth=1)
    for panel, unit in zip((left, right), MEASURES.values(), strict=True):
        panel.set_xlabel(unit)
        panel.set_yticks(range(len(rows)), labels, fontsize=8)
        panel.set_ylim(len(rows) - 0.4, -0.6)
    figure.suptitle(f"{report.title}\nWhere one is named, the other is {' or '.join(baseline)}.", fontsize=9)
    return figure


def _line(panel: Axes, values: Sequence[float], said: Sequence[str], color: str) -> None:
    panel.scatter(values, range(len(values)), color=color, s=28, zorder=3)
    for place, (value, text) in enumerate(zip(values, said, strict=True)):
        panel.annotate(text, (value, place), (7, 0), textcoords="offset points", va="center", fontsize=7)
    panel.set_xscale("log")
    panel.set_xlim(min(values) / 1.5, max(values) * 6)
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.grid(alpha=0.25)


def _grid(report: Report, names: Sequence[str], others: Sequence[str]) -> Figure:
    figure = Figure(figsize=(1.6 + 2 * 0.55 * len(names), 2.4 + 0.3 * len(others)), dpi=130, layout="constrained")
    found = {(row.name, _strategy(row)): row for row in report.rows}
    for panel, (measure, unit) in zip(figure.subplots(1, 2, sharey=True), MEASURES.items(), strict=True):
        values = [[_value(found[name, other], measure) for name in names] for other in others]
        _heat(panel, values)
        panel.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
        panel.set_yticks(range(len(others)), others, fontsize=8)
        panel.set_title(unit, fontsize=9)
    figure.suptitle(f"{report.title}\nEmpty: cannot go together.", fontsize=9)
    return figure


def _heat(panel: Axes, values: Sequence[Sequence[float]]) -> None:
    logarithms = [[math.log10(value) if value > 0 else math.nan for value in line] for line in values]
    finite = [value for line in logarithms for value in line if not math.isnan(value)]
    panel.imshow(logarithms, cmap="cividis", aspect="auto")
    middle = (min(finite) + max(finite)) / 2
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            if value > 0:
                color = "white" if math.log10(value) < middle else "black"
                panel.text(column, row, _short(value), ha="center", va="center", fontsize=6, color=color)


def _strategy(row: Row) -> str:
    return str(row.under["strategy"])


def _value(row: Row, measure: str) -> float:
    """Zero where the pair could not go."""
    return float(row.also.get(measure) or 0.0)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
