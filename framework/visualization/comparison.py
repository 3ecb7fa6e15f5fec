"""Plots that compare methods: lines with a band, clouds of points, and values with intervals."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, final

import numpy as np

from framework.visualization.style import STYLE, line_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bounds = tuple[np.ndarray, np.ndarray]


@final
@dataclass(frozen=True)
class Line:
    """A line, the bounds of its band, if it has one, and thin lines that go on where not all runs do."""

    x: np.ndarray
    y: np.ndarray
    band: Bounds | None = None
    tails: Sequence[Bounds] = field(default_factory=tuple)


@final
@dataclass(frozen=True)
class Labels:
    """The title and the labels of the axes."""

    title: str
    x: str
    y: str


def draw_lines(lines: Mapping[str, Line], labels: Labels) -> "Figure":
    """A line for each method."""
    figure, axes = _new(labels, rows=len(lines))
    for index, (label, line) in enumerate(lines.items()):
        style, spacing = line_style(index), max(1, len(line.x) // 8)
        axes.plot(line.x, line.y, **style, markevery=(index % spacing, spacing), linewidth=1.6, label=label)
        if line.band is not None:
            axes.fill_between(line.x, *line.band, color=style["color"], alpha=0.16, linewidth=0)
        for x, y in line.tails:
            axes.plot(x, y, color=style["color"], linestyle=style["linestyle"], linewidth=1.0, alpha=0.8)
    return _finish(figure, axes)


def draw_points(points: Mapping[str, Bounds], labels: Labels) -> "Figure":
    """A cloud of points for each method."""
    figure, axes = _new(labels, rows=len(points))
    for index, (label, (x, y)) in enumerate(points.items()):
        axes.plot(x, y, **line_style(index) | {"linestyle": "none"}, alpha=0.75, label=label)
    return _finish(figure, axes)


def draw_intervals(values: Mapping[str, Mapping[str, tuple[float, Bounds | None]]], labels: Labels) -> "Figure":
    """For each statistic a row, in which each method has its value and its interval."""
    figure, axes = _new(labels, rows=len(values))
    statistics = list(dict.fromkeys(name for own in values.values() for name in own))
    for index, (label, own) in enumerate(values.items()):
        style = line_style(index) | {"linestyle": "none"}
        for row, (value, bounds) in ((statistics.index(name), each) for name, each in own.items()):
            place = row + (index - (len(values) - 1) / 2) * 0.7 / len(values)
            if bounds is not None:
                axes.plot(bounds, [place, place], color=style["color"], linewidth=2.5, alpha=0.6, solid_capstyle="butt")
            axes.plot([value], [place], **style, label=label if row == 0 else None)
    axes.set_yticks(range(len(statistics)), statistics)
    axes.set_ylim(len(statistics) - 0.5, -0.5)
    return _finish(figure, axes, bottom=False)


def encode(figure: "Figure", kind: Literal["png", "svg"]) -> bytes:
    """A figure as the bytes of a file, the same ones each time."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "dream"}):
        figure.savefig(buffer, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def _new(labels: Labels, rows: int) -> tuple["Figure", "Axes"]:
    """Axes of one size, below which the legend has a line for each method."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.1 + 0.19 * rows))
        axes = figure.subplots()
        axes.set(title=labels.title, xlabel=labels.x, ylabel=labels.y)
        axes.xaxis.set_major_formatter(lambda value, _: _brief(value))
    return figure, axes


def _finish(figure: "Figure", axes: "Axes", *, bottom: bool = True) -> "Figure":
    if bottom:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]) if axes.dataLim.y0 < 0 else 0.0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", fontsize=8.5, frameon=False)
    return figure


def _brief(value: float) -> str:
    """20k for 20,000 and 1.5M for 1,500,000."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
