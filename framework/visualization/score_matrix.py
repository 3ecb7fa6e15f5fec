"""Square matrices of numbers between the steps of sequences: colors, sequences outlined, and a scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from jaxtyping import Bool, Float

from framework.visualization.figures import FAINT, Pixels, add_axes, new_figure, to_pixels, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE: Final = 560
LEFT, TOP, RIGHT, BOTTOM = 78, 116, 100, 56
"""In pixels: around each matrix."""


@dataclass(frozen=True)
class MatrixPanel:
    """One matrix, gray where it is not `kept`; `low` and `high` are the ends of its colors."""

    values: Float[np.ndarray, "N N"]
    kept: Bool[np.ndarray, "N N"]
    low: float
    high: float
    title: str


def draw_matrices(panels: Sequence[MatrixPanel], times: int, title: str, explanation: str, sides: tuple[str, str]) -> Pixels:
    """Matrices side by side, of sequences of `times` steps; `sides` are the names of rows and columns."""
    size = len(panels[0].values)
    side = size * max(1, round(SIDE / size))
    across = LEFT + side + RIGHT
    figure = new_figure(across * len(panels), TOP + side + BOTTOM)
    write(figure, 14, 10, title, size=14.0)
    write(figure, 14, 40, explanation, color=FAINT)
    for number, panel in enumerate(panels):
        axes = add_axes(figure, number * across + LEFT, TOP, side, side)
        colors = axes.imshow(np.ma.masked_array(panel.values, ~panel.kept), vmin=panel.low, vmax=panel.high, interpolation="nearest")
        axes.set_facecolor("0.75")
        axes.set_title(panel.title, loc="left", fontsize=10.5)
        axes.set_ylabel(f"{sides[0]}: sequence 0, 1, .. and in it the steps in order")
        axes.set_xlabel(f"{sides[1]}: sequence 0, 1, .. and in it the steps in order")
        _outline_sequences(axes, times, size)
        lower = bool((panel.values[panel.kept] < panel.low).any())
        scale = add_axes(figure, number * across + LEFT + side + 18, TOP, 16, side)
        figure.colorbar(colors, cax=scale, extend="min" if lower else "neither", extendfrac=0.03)
    return to_pixels(figure)


def _outline_sequences(axes: "Axes", times: int, size: int) -> None:
    """White lines between sequences, their numbers, and a red square around the block of each with itself."""
    from matplotlib.patches import Rectangle

    edges = np.arange(0, size, times) - 0.5
    every = math.ceil(len(edges) / 20)
    numbers = [str(number) if number % every == 0 else "" for number in range(len(edges))]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(edges + times / 2, labels=numbers)
        axis.set_ticks(edges[1:], minor=True)
    axes.tick_params(which="both", length=0)
    axes.grid(which="minor", color="white", linewidth=0.7)
    for edge in edges:
        axes.add_patch(Rectangle((edge, edge), times, times, fill=False, edgecolor="#ff463c", linewidth=2, zorder=5))
