"""The picture of `dream lab cost`."""

from typing import Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from framework.lab.plots.style import BLUE, RED, STYLE, TRUTH, measured_rows, numbers
from framework.measurement.report import Report, Row

MEASURES: Final = {"ratio": "time, in units of BilinearCritic x InBatch", "MiB": "memory at the peak, MiB"}


@rc_context(STYLE)
def plot(report: Report) -> Figure:
    """A dot for each pair where either is always the same, a grid of all pairs where both vary; both scales are logarithmic."""
    rows = measured_rows(report, "ratio")
    critics, strategies = list(dict.fromkeys(row.name for row in rows)), sorted({str(row["strategy"]) for row in rows})
    if len(report.rows) == len(critics) * len(strategies) and min(len(critics), len(strategies)) > 1:
        return _grid(report, critics, strategies)
    return _dots(report, rows)


def _dots(report: Report, rows: list[Row]) -> Figure:
    figure = Figure(figsize=(11, 1.6 + 0.25 * len(rows)))
    baseline = str(report.setting["baseline"]).split(" x ")
    pairs = [(row.name, str(row["strategy"])) for row in rows]
    labels = [" x ".join(part for part in pair if part not in baseline) or " x ".join(baseline) for pair in pairs]
    left, right = figure.subplots(1, 2, sharey=True)
    _line(left, numbers(rows, "ratio"), [f"{_short(value)} ms" for value in numbers(rows, "milliseconds")], BLUE)
    _line(right, numbers(rows, "MiB"), [_short(value) for value in numbers(rows, "MiB")], RED)
    left.axvline(1.0, color=TRUTH, linestyle="--", linewidth=1)
    for panel, unit in zip((left, right), MEASURES.values(), strict=True):
        panel.set_xlabel(unit)
    left.set_yticks(range(len(rows)), labels, fontsize=8)
    left.set_ylim(len(rows) - 0.4, -0.6)
    figure.suptitle(f"{report.title}\nWhere one is named, the other is {' or '.join(baseline)}.")
    return figure


def _line(panel: Axes, values: np.ndarray, texts: list[str], color: str) -> None:
    panel.scatter(values, range(len(values)), color=color, s=28, zorder=3)
    for place, (value, text) in enumerate(zip(values, texts, strict=True)):
        panel.annotate(text, (value, place), (7, 0), textcoords="offset points", va="center", fontsize=7)
    panel.set_xscale("log")
    panel.set_xlim(values.min() / 1.5, values.max() * 6)
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    panel.xaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter(NullFormatter())


def _grid(report: Report, critics: list[str], strategies: list[str]) -> Figure:
    figure = Figure(figsize=(1.6 + 2 * 0.55 * len(critics), 2.4 + 0.3 * len(strategies)))
    rows = {(row.name, row["strategy"]): row for row in report.rows}
    for panel, (measure, unit) in zip(figure.subplots(1, 2, sharey=True), MEASURES.items(), strict=True):
        _heat(panel, np.array([[rows[critic, strategy].number(measure) for critic in critics] for strategy in strategies]))
        panel.set_xticks(range(len(critics)), critics, rotation=60, ha="right", fontsize=8)
        panel.set_yticks(range(len(strategies)), strategies, fontsize=8)
        panel.set_title(unit, loc="center", fontsize=9)
    figure.suptitle(f"{report.title}\nEmpty: cannot go together.")
    return figure


def _heat(panel: Axes, values: np.ndarray) -> None:
    norm = LogNorm(np.nanmin(values), np.nanmax(values))
    panel.imshow(values, cmap="cividis", aspect="auto", norm=norm)
    panel.grid(visible=False)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            color = "white" if norm(value) < 0.5 else "black"
            panel.text(column, row, _short(value), ha="center", va="center", fontsize=6, color=color)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
