"""The pictures of `dream lab bounds`, `derivation` and `cost`: a panel for each bound, latent or measure."""

import math
from itertools import cycle
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from framework.errors import UserError
from framework.lab.plots.style import BLUE, GRAY, GREEN, RED, TRUTH, legend, measured_rows, numbers
from framework.measurement.report import Report, Row, Value, shown
from framework.visualization.style import COLORS

COLUMNS: Final = 4
LATENTS: Final = {
    "noisy": "A latent with a part of the\nobservation's information",
    "collapsed": "Collapse: a latent that\nignores the observation",
    "one-to-one": "A latent that names\nthe observation: I = H(o)",
}
TICKS: Final = (2, 16, 128, 1024, 4096)
MEASURES: Final = {"ratio": "time, in units of BilinearCritic x InBatch", "MiB": "memory at the peak, MiB"}


def plot_bounds(report: Report) -> Figure:
    """A panel for each bound: its estimate against the true information, for each number of candidates."""
    rows = measured_rows(report, "mean")
    rows_of: dict[tuple[str, Value, Value], list[Row]] = {}
    for row in rows:
        rows_of.setdefault((row.name, row["score"], row["mark"]), []).append(row)
    colors = dict(zip(sorted({int(row.number("candidates")) for row in rows}), cycle(COLORS), strict=False))
    figure, grid = _grid(len(rows_of))
    highest = numbers(rows, "truth").max()
    grid[0].set_ylim(*_limits(rows, highest))
    for panel, ((name, score, mark), own) in zip(grid, rows_of.items(), strict=True):
        _staircase(panel, own, colors, highest)
        panel.set_title(f"{name} · {score}" if report.setting.get("axis") == "column" else name)
        panel.text(0.03, 0.96, str(mark or ""), transform=panel.transAxes, va="top", fontsize=8.5, color=RED)
    figure.supxlabel("true mutual information (nats)")
    figure.supylabel("estimate (nats)")
    legend(figure, grid, "upper center", f"{report.title.removesuffix('; nats.')}. Bars: standard deviation over batches.")
    return figure


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    """As many panels in lines of `COLUMNS`; the lowest of each column has tick labels."""
    columns = min(COLUMNS, count)
    lines = math.ceil(count / columns)
    figure = Figure(figsize=(3.1 * columns + 0.4, 2.7 * lines + 1.1))
    grid = [*figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat]
    for panel in grid[count:]:
        panel.remove()
    for panel in grid[max(0, count - columns) : count]:
        panel.tick_params(labelbottom=True)
    return figure, grid[:count]


def _staircase(panel: Axes, rows: list[Row], colors: dict[int, str], highest: float) -> None:
    for count, color in colors.items():
        own = sorted((row for row in rows if row["candidates"] == count), key=lambda row: row.number("truth"))
        truth, mean, std = (numbers(own, key) for key in ("truth", "mean", "std"))
        panel.errorbar(truth, mean, yerr=std, color=color, marker="o", linewidth=1.2, elinewidth=0.9, capsize=2, label=f"K = {count}")
        for ceiling in numbers(own, "ceiling")[:1]:
            panel.axhline(ceiling, color=color, linestyle=":", linewidth=1)
    panel.plot([0, highest], [0, highest], color=TRUTH, linestyle="--", linewidth=1.2, label="truth")
    if np.isfinite(numbers(rows, "ceiling")).any():
        panel.plot([], [], color=GRAY, linestyle=":", label="ceiling log K")
    far = [mean for mean in numbers(rows, "mean") if mean < panel.get_ylim()[0]]
    if far:
        text = f"far below: {min(far):.3g} to {max(far):.3g} nats"
        panel.text(0.97, 0.06, text, transform=panel.transAxes, ha="right", fontsize=8.5, color=RED)


def _limits(rows: list[Row], highest: float) -> tuple[float, float]:
    """A range for the truth and the means, except means so far off that they would squeeze all panels."""
    means = numbers(rows, "mean")
    top = min(max(means.max(), highest), 1.8 * highest + 1)
    bottom = max(min(means.min(), 0.0), -0.6 * highest - 1)
    return bottom - 0.06 * (top - bottom), top + 0.1 * (top - bottom)


def plot_derivation(report: Report) -> Figure:
    """Eq. 7 against the number of candidates: for each representation, between the true information and the ceiling."""
    rows = [row for row in report.rows if row.name == "Eq. 7"]
    if not rows:
        raise UserError("The plot shows Eq. 7, and --only leaves it out; add --only 'Eq. 7'.")
    latents = list(dict.fromkeys(str(row["latent"]) for row in rows))
    figure = Figure(figsize=(3.4 * len(latents), 4.0))
    panels = figure.subplots(1, len(latents), sharex=True, sharey=True, squeeze=False)[0]
    for panel, latent in zip(panels, latents, strict=True):
        _contrast(panel, [row for row in rows if row["latent"] == latent])
        panel.set_title(LATENTS[latent], loc="center", fontsize=9)
    top = numbers(rows, "truth").max() + 0.5
    panels[0].set_ylim(-0.08 * top, top)
    panels[0].set_ylabel("nats")
    figure.suptitle("Eq. 7, a contrast of K observations, approaches the information from below as K grows")
    legend(figure, panels, "lower center")
    return figure


def _contrast(panel: Axes, rows: list[Row]) -> None:
    counts, exact, truth = numbers(rows, "K"), numbers(rows, "mean"), rows[0].number("truth")
    sampled, errors = numbers(rows, "sampled"), numbers(rows, "sampled_stderr")
    panel.axhline(truth, color=RED, linewidth=1.5, label="true I(s; o)")
    panel.plot(counts, np.log(counts), color=GRAY, linestyle="--", linewidth=1.2, label="ceiling log K")
    panel.plot(counts, exact, color=BLUE, marker="o", linewidth=1.5, label="Eq. 7, exact")
    if np.isfinite(sampled).any():
        panel.errorbar(counts, sampled, errors, color=GREEN, fmt="x", markersize=7, capsize=3, label="Eq. 7, sampled batches")
    panel.set_xscale("log", base=2)
    panel.set_xticks(TICKS, [f"{tick:,}" for tick in TICKS])
    panel.set_xlabel("candidates K")
    panel.annotate(f"I = {shown(round(truth, 3))}", (counts[-1], truth), (0, 4), textcoords="offset points", ha="right", fontsize=8)


def plot_cost(report: Report) -> Figure:
    """A grid of critics and strategies for time, and one for memory, in logarithmic colors; pairs without numbers are empty."""
    rows = {(row.name, str(row["strategy"])): row for row in measured_rows(report, "ratio")}
    critics, strategies = (sorted(set(names)) for names in zip(*rows, strict=True))
    figure = Figure(figsize=(max(7.0, 2.6 + 2 * 0.55 * len(critics)), 2.6 + 0.3 * len(strategies)))
    for panel, (measure, unit) in zip(figure.subplots(1, 2, sharey=True), MEASURES.items(), strict=True):
        values = np.full((len(strategies), len(critics)), np.nan)
        for (critic, strategy), row in rows.items():
            values[strategies.index(strategy), critics.index(critic)] = row.number(measure)
        _heatmap(panel, values)
        panel.set_xticks(range(len(critics)), critics, rotation=60, ha="right", fontsize=8)
        panel.set_yticks(range(len(strategies)), strategies, fontsize=8)
        panel.set_title(unit, loc="center", fontsize=9)
    figure.suptitle(report.title.replace(": ", "\n", 1))
    return figure


def _heatmap(panel: Axes, values: np.ndarray) -> None:
    norm = LogNorm(np.nanmin(values), np.nanmax(values))
    panel.imshow(values, cmap="cividis", aspect="auto", norm=norm)
    panel.grid(visible=False)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            color = "white" if norm(value) < 0.5 else "black"
            text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
            panel.text(column, row, text, ha="center", va="center", fontsize=6, color=color)
