"""The picture of `dream lab cost`."""

from typing import Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from framework.lab.plots.style import STYLE, measured_rows
from framework.measurement.report import Report

MEASURES: Final = {"ratio": "time, in units of BilinearCritic x InBatch", "MiB": "memory at the peak, MiB"}


@rc_context(STYLE)
def plot(report: Report) -> Figure:
    """A grid of critics and strategies for time, and one for memory, in logarithmic colors; pairs without numbers are empty."""
    rows = {(row.name, str(row["strategy"])): row for row in measured_rows(report, "ratio")}
    critics, strategies = (sorted(set(names)) for names in zip(*rows, strict=True))
    figure = Figure(figsize=(max(7.0, 2.6 + 2 * 0.55 * len(critics)), 2.6 + 0.3 * len(strategies)))
    for panel, (measure, unit) in zip(figure.subplots(1, 2, sharey=True), MEASURES.items(), strict=True):
        values = np.full((len(strategies), len(critics)), np.nan)
        for (critic, strategy), row in rows.items():
            values[strategies.index(strategy), critics.index(critic)] = row.number(measure)
        _grid(panel, values)
        panel.set_xticks(range(len(critics)), critics, rotation=60, ha="right", fontsize=8)
        panel.set_yticks(range(len(strategies)), strategies, fontsize=8)
        panel.set_title(unit, loc="center", fontsize=9)
    figure.suptitle(report.title.replace(": ", "\n", 1))
    return figure


def _grid(panel: Axes, values: np.ndarray) -> None:
    norm = LogNorm(np.nanmin(values), np.nanmax(values))
    panel.imshow(values, cmap="cividis", aspect="auto", norm=norm)
    panel.grid(visible=False)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            color = "white" if norm(value) < 0.5 else "black"
            text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
            panel.text(column, row, text, ha="center", va="center", fontsize=6, color=color)
