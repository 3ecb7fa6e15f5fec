"""The pictures of `dream lab negatives` and `dream lab critics`: a line for each row of the table."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from framework.lab.plots.style import BLUE, GRAY, GREEN, ORANGE, RED, TRUTH, measured_rows, numbers
from framework.measurement.report import Report, Row


def plot_negatives(report: Report) -> Figure:
    """The estimate of each strategy with the truth, and the share of its negatives that are false."""
    rows = measured_rows(report, "mean")
    figure, (left, right) = _panels(report, rows)
    _estimates(left, rows)
    _shares(right, {"top-1 accuracy": numbers(rows, "accuracy"), "share of false negatives": numbers(rows, "false_negatives")})
    notes = ["A false negative is a step of the own sequence that is like the anchor."]
    if missing := ", ".join(row.name for row in report.rows if row["mean"] is None):
        notes.append(f"Not measured, as the table says why: {missing}.")
    _footnote(figure, notes)
    return figure


def plot_critics(report: Report) -> Figure:
    """The estimate of each density and critic with its truth."""
    rows = measured_rows(report, "mean")
    figure, (left, right) = _panels(report, rows)
    _estimates(left, rows)
    _shares(right, {"top-1 accuracy": numbers(rows, "accuracy")})
    exact = sum(row["trained"] == "exact" for row in rows)
    if 0 < exact < len(rows):
        for axes in (left, right):
            axes.axhline(exact - 0.5, color=GRAY, linewidth=0.8)
        for place, text, side in ((exact - 0.56, "exact densities", "bottom"), (exact - 0.44, "learned", "top")):
            where = ("axes fraction", "data")
            left.annotate(text, (0, place), (4, 0), xycoords=where, textcoords="offset points", va=side, fontsize=8, color=GRAY)
    _footnote(figure, [f"{name}: {note}" for name, note in report.notes()])
    return figure


def _panels(report: Report, rows: list[Row]) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(10.5, 0.34 * len(rows) + 2.1))
    panels = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    figure.suptitle(report.title.removesuffix("; nats."))
    panels[0].set_yticks(range(len(rows)), [row.name for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure, panels


def _estimates(axes: Axes, rows: list[Row]) -> None:
    """Filled for a lower bound, open for none; a line for the truth, and a dotted one for a ceiling that is not far off."""
    places = np.arange(len(rows))
    truth, mean, error, ceiling = (numbers(rows, key) for key in ("truth", "mean", "stderr", "ceiling"))
    is_lower = np.array([row["is_lower_bound"] is not False for row in rows])
    axes.vlines(truth, places - 0.5, places + 0.5, color=TRUTH, linewidth=1.6, label="truth")
    for mask, color, face, label in ((is_lower, BLUE, BLUE, "lower bound"), (~is_lower, RED, "white", "no bound")):
        if mask.any():
            style: dict[str, Any] = {"color": color, "markerfacecolor": face, "markersize": 5.5, "capsize": 2.5}
            axes.errorbar(mean[mask], places[mask], xerr=2 * error[mask], fmt="o", label=label, **style)
    near = ceiling <= 2 * np.nanmax([1.0, *mean, *truth])
    if near.any():
        axes.vlines(ceiling[near], places[near] - 0.3, places[near] + 0.3, color=GRAY, linestyle=":", label="ceiling log K")
    elif np.isfinite(ceiling).any():
        axes.plot([], [], " ", label=f"(ceiling log K: {np.nanmin(ceiling):.2f})")
    axes.update_datalim([(0, 0), (1, 0)])
    axes.autoscale_view(scaley=False)
    axes.set_xlabel("estimate (nats), bars: 2 standard errors")
    _legend_above(axes)


def _shares(axes: Axes, shares: dict[str, np.ndarray]) -> None:
    height = 0.8 / len(shares)
    for index, ((name, values), color) in enumerate(zip(shares.items(), (GREEN, ORANGE), strict=False)):
        places = np.arange(len(values)) - 0.4 + height * (index + 0.5)
        axes.barh(places, values, height=0.9 * height, color=color, label=name)
    axes.set_xlim(0, min(1.0, 1.15 * np.nanmax([0.05, *np.concatenate([*shares.values()])])))
    axes.set_xlabel("share")
    _legend_above(axes)


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4)


def _footnote(figure: Figure, lines: list[str]) -> None:
    if lines:
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color=GRAY)
