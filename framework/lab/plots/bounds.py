"""The picture of `dream lab bounds`."""

import math
from itertools import cycle

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from framework.lab.plots.style import COLORS, GRAY, RED, STYLE, TRUTH, measured_rows, numbers
from framework.measurement.report import Report, Row, Value

COLUMNS = 4


@rc_context(STYLE)
def plot(report: Report) -> Figure:
    """A panel for each bound: its estimate against the true information, for each number of candidates."""
    rows = measured_rows(report, "mean")
    panels: dict[tuple[str, Value, Value], list[Row]] = {}
    for row in rows:
        panels.setdefault((row.name, row["score"], row["mark"]), []).append(row)
    colors = dict(zip(sorted({int(row.number("candidates")) for row in rows}), cycle(COLORS), strict=False))
    figure, grid = _grid(len(panels))
    highest = numbers(rows, "truth").max()
    grid[0].set_ylim(*_limits(rows, highest))
    for axes, ((name, score, mark), mine) in zip(grid, panels.items(), strict=True):
        _staircase(axes, mine, colors, highest)
        axes.set_title(f"{name} · {score}" if report.setting.get("axis") == "column" else name)
        axes.text(0.03, 0.96, str(mark or ""), transform=axes.transAxes, va="top", fontsize=8.5, color=RED)
    figure.supxlabel("true mutual information (nats)")
    figure.supylabel("estimate (nats)")
    handles = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    title = f"{report.title.removesuffix('; nats.')}. Bars: standard deviation over batches."
    figure.legend(handles.values(), handles, title=title, loc="outside upper center", ncols=len(handles))
    return figure


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    """As many panels in lines of `COLUMNS`; the lowest of each column has tick labels."""
    columns = min(COLUMNS, count)
    lines = math.ceil(count / columns)
    figure = Figure(figsize=(3.1 * columns + 0.4, 2.7 * lines + 1.1))
    grid = [*figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat]
    for axes in grid[count:]:
        axes.remove()
    for axes in grid[max(0, count - columns) : count]:
        axes.tick_params(labelbottom=True)
    return figure, grid[:count]


def _staircase(axes: Axes, rows: list[Row], colors: dict[int, str], highest: float) -> None:
    for count, color in colors.items():
        mine = sorted((row for row in rows if row["candidates"] == count), key=lambda row: row.number("truth"))
        truth, mean, std = (numbers(mine, key) for key in ("truth", "mean", "std"))
        axes.errorbar(truth, mean, yerr=std, color=color, marker="o", linewidth=1.2, elinewidth=0.9, capsize=2, label=f"K = {count}")
        for ceiling in numbers(mine, "ceiling")[:1]:
            axes.axhline(ceiling, color=color, linestyle=":", linewidth=1)
    axes.plot([0, highest], [0, highest], color=TRUTH, linestyle="--", linewidth=1.2, label="truth")
    if np.isfinite(numbers(rows, "ceiling")).any():
        axes.plot([], [], color=GRAY, linestyle=":", label="ceiling log K")
    far = [mean for mean in numbers(rows, "mean") if mean < axes.get_ylim()[0]]
    if far:
        text = f"far below: {min(far):.3g} to {max(far):.3g} nats"
        axes.text(0.97, 0.06, text, transform=axes.transAxes, ha="right", fontsize=8.5, color=RED)


def _limits(rows: list[Row], highest: float) -> tuple[float, float]:
    """A range for the truth and the means, except means so far off that they would squeeze all panels."""
    means = numbers(rows, "mean")
    top = min(max(means.max(), highest), 1.8 * highest + 1)
    bottom = max(min(means.min(), 0.0), -0.6 * highest - 1)
    return bottom - 0.06 * (top - bottom), top + 0.1 * (top - bottom)
