"""The laboratory's rows as pictures: truth as a line, estimates with their errors, colors that everyone can tell apart."""

import math
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from framework.lab.report import Report, Row

COLORS: Final = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
"""Okabe and Ito (2008)."""
TRUTH: Final = "#444444"
RIGHT: Final = COLORS[0]
WRONG: Final = COLORS[3]


def bounds(report: Report) -> Figure:
    """A panel for each bound: its estimate against the true information, for each number of candidates."""
    rows = [row for row in report.rows if row.mean is not None]
    panels = list(dict.fromkeys((row.name, _score(row), row.mark) for row in rows))
    counts = sorted({int(row.under["candidates"] or 0) for row in rows})
    colors = {count: COLORS[index % len(COLORS)] for index, count in enumerate(counts)}
    columns = min(4, max(1, len(panels)))
    lines = max(1, math.ceil(len(panels) / columns))
    figure = _figure(3.1 * columns + 0.4, 2.7 * lines + 1.1)
    shared = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    highest = max((row.truth or 0.0 for row in rows), default=1.0)
    lowest, top = _limits(rows, highest)
    for axes, (name, score, mark) in zip(shared.flat, panels, strict=False):
        mine = [row for row in rows if (row.name, _score(row), row.mark) == (name, score, mark)]
        _staircase(axes, mine, colors, highest)
        _say_where(axes, [_finite(row.mean) for row in mine], lowest)
        axes.set_title(f"{name}{f' · {score}' if score and report.setting.get('axis') == 'column' else ''}", loc="left", fontsize=10)
        if mark:
            axes.text(0.03, 0.96, mark, transform=axes.transAxes, va="top", fontsize=8.5, color=WRONG)
    for axes in list(shared.flat)[len(panels) :]:
        axes.set_visible(False)
    for axes in list(shared.flat)[max(0, len(panels) - columns) : len(panels)]:
        axes.tick_params(labelbottom=True)
    shared[0, 0].set_ylim(lowest, top)
    figure.supxlabel("true mutual information (nats)", fontsize=10)
    figure.supylabel("estimate (nats)", fontsize=10)
    handles = [Line2D([], [], color=colors[count], marker="o", markersize=4, label=f"K = {count}") for count in counts]
    handles += [Line2D([], [], color=TRUTH, linestyle="--", label="truth")]
    if any(row.ceiling is not None for row in rows):
        handles.append(Line2D([], [], color="#888888", linestyle=":", label="ceiling log K"))
    title = f"{report.title.removesuffix('; nats.')}. Bars: standard deviation over batches."
    figure.legend(handles=handles, title=title, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=9)
    return figure


def negatives(report: Report) -> Figure:
    """The estimate of each strategy beside the truth, and how many of its negatives are false."""
    figure, left, right, rows = _beside(report)
    _dots(left, rows)
    _against(right, rows, {"top-1 accuracy": _accuracies(rows), "share of false negatives": _also(rows, "false_negatives")})
    said = ["A false negative is a step of the own sequence that is like the anchor."]
    missing = [row.name for row in report.rows if row.mean is None]
    said += [f"Not measured, as the table says why: {', '.join(missing)}."] if missing else []
    _write_below(figure, said)
    return figure


def critics(report: Report) -> Figure:
    """The estimate of each density and critic beside its truth."""
    figure, left, right, rows = _beside(report)
    _dots(left, rows)
    _against(right, rows, {"top-1 accuracy": _accuracies(rows)})
    exact = sum(row.also.get("trained") == "exact" for row in rows)
    if 0 < exact < len(rows):
        for axes in (left, right):
            axes.axhline(exact - 0.5, color="#888888", linewidth=0.8)
        _write_along(left, exact - 0.56, "exact densities", "bottom")
        _write_along(left, exact - 0.44, "learned", "top")
    _write_below(figure, [f"{name}: {note}" for name, note in report.notes()])
    return figure


def _beside(report: Report) -> tuple[Figure, Axes, Axes, list[Row]]:
    """Two panels over the same rows: what was measured, from above to below."""
    rows = [row for row in report.rows if row.mean is not None]
    figure = _figure(10.5, 0.34 * len(rows) + 2.1)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    figure.suptitle(report.title.removesuffix("; nats."), fontsize=10)
    return figure, left, right, rows


def _write_along(axes: Axes, place: float, text: str, side: Literal["top", "bottom"]) -> None:
    """Left, beside a line across the rows."""
    where: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (4, 0), "textcoords": "offset points"}
    axes.annotate(text, (0.0, place), va=side, fontsize=8, color="#666666", **where)


def _write_below(figure: Figure, lines: Sequence[str]) -> None:
    if lines:
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color="#666666")


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained", dpi=150)


def _score(row: Row) -> str:
    return str(row.under.get("score", ""))


def _staircase(axes: Axes, rows: Sequence[Row], colors: dict[int, str], highest: float) -> None:
    axes.plot([0, highest], [0, highest], color=TRUTH, linestyle="--", linewidth=1.2)
    for count, color in colors.items():
        mine = sorted((row for row in rows if row.under["candidates"] == count), key=lambda row: row.truth or 0.0)
        if not mine:
            continue
        axes.errorbar(
            [_finite(row.truth) for row in mine],
            [_finite(row.mean) for row in mine],
            yerr=[_finite(row.std) for row in mine],
            color=color,
            marker="o",
            markersize=3.5,
            linewidth=1.2,
            elinewidth=0.9,
            capsize=2,
        )
        ceilings = [row.ceiling for row in mine if row.ceiling is not None]
        if ceilings:
            axes.axhline(ceilings[0], color=color, linestyle=":", linewidth=1)
    _tidy(axes)


def _say_where(axes: Axes, means: Sequence[float], lowest: float) -> None:
    """In words, where something could not be drawn without squeezing every other panel."""
    far = [mean for mean in means if mean < lowest]
    if far:
        text = f"far below: {min(far):.3g} to {max(far):.3g} nats"
        axes.text(0.97, 0.06, text, transform=axes.transAxes, ha="right", fontsize=8.5, color=WRONG)


def _limits(rows: Sequence[Row], highest: float) -> tuple[float, float]:
    """What the means need, and the truth; a bound without any sense on this axis may not squeeze the others."""
    means = [row.mean for row in rows if row.mean is not None]
    top = min(max([*means, highest]), 1.8 * highest + 1)
    bottom = max(min([*means, 0.0]), -0.6 * highest - 1)
    return bottom - 0.06 * (top - bottom), top + 0.1 * (top - bottom)


def _dots(axes: Axes, rows: Sequence[Row]) -> None:
    """Filled where it is a lower bound, open where it is none; a line for the truth, across its rows."""
    for place, row in enumerate(rows):
        below = row.is_lower_bound is not False
        color = RIGHT if below else WRONG
        if row.truth is not None:
            axes.plot([row.truth, row.truth], [place - 0.5, place + 0.5], color=TRUTH, linewidth=1.6)
        if row.ceiling is not None and row.ceiling <= _far(rows):
            axes.plot([row.ceiling, row.ceiling], [place - 0.3, place + 0.3], color="#999999", linewidth=1.2, linestyle=(0, (1, 1)))
        axes.errorbar(
            row.mean or 0.0,
            place,
            xerr=2 * _finite(row.stderr),
            marker="o",
            markersize=5.5,
            color=color,
            markerfacecolor=color if below else "white",
            capsize=2.5,
        )
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("estimate (nats), bars: 2 standard errors")
    left, right = _range(rows)
    axes.set_xlim(left, right)
    handles: list[Any] = [
        Line2D([], [], color=TRUTH, linewidth=1.6, label="truth"),
        Line2D([], [], color=RIGHT, marker="o", linestyle="", label="lower bound"),
    ]
    if any(row.is_lower_bound is False for row in rows):
        handles.append(Line2D([], [], color=WRONG, marker="o", markerfacecolor="white", linestyle="", label="no bound"))
    ceilings = [row.ceiling for row in rows if row.ceiling is not None]
    if ceilings and min(ceilings) <= _far(rows):
        handles.append(Line2D([], [], color="#999999", linestyle=(0, (1, 1)), label="ceiling log K"))
    elif ceilings:
        handles.append(Line2D([], [], linestyle="", label=f"(ceiling log K: {min(ceilings):.2f})"))
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles), frameon=False, fontsize=8.5)
    _tidy(axes)


def _range(rows: Sequence[Row]) -> tuple[float, float]:
    shown = [value for row in rows for value in (row.mean, row.truth, row.ceiling) if value is not None and value <= _far(rows)]
    low, high = min([*shown, 0.0]), max([*shown, 1.0])
    return low - 0.04 * (high - low), high + 0.06 * (high - low)


def _far(rows: Sequence[Row]) -> float:
    """Where a ceiling lies so high that it would only squeeze the rest."""
    return 2 * max([1.0, *(value for row in rows for value in (row.mean, row.truth) if value is not None)])


def _against(axes: Axes, rows: Sequence[Row], shares: dict[str, list[float]]) -> None:
    height = 0.8 / len(shares)
    for index, (name, values) in enumerate(shares.items()):
        places = np.arange(len(rows)) - 0.4 + height * (index + 0.5)
        axes.barh(places, values, height=0.9 * height, color=(COLORS[2], COLORS[1])[index], label=name)
    axes.set_xlim(0, min(1.0, 1.15 * max([0.05, *(value for values in shares.values() for value in values)])))
    axes.set_xlabel("share")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(shares), frameon=False, fontsize=8.5)
    _tidy(axes)


def _accuracies(rows: Sequence[Row]) -> list[float]:
    return [row.accuracy or 0.0 for row in rows]


def _also(rows: Sequence[Row], name: str) -> list[float]:
    return [value if isinstance(value := row.also.get(name), int | float) else 0.0 for row in rows]


def _finite(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else 0.0


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
