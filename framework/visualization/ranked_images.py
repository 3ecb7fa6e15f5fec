"""For a few anchors: the true image, and the candidates of highest score with the true one framed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from jaxtyping import UInt8

from framework.visualization.figures import FAINT, GREEN, RED, Images, Pixels, add_axes, enlarged, new_figure, to_pixels, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CANDIDATES: Final = 6
SIDE: Final = 128
LEFT, TOP, GAP, CAPTION, MARGIN = 150, 118, 26, 56, 14
"""In pixels: left of the images, above them, beside the true one, below each, and between them."""


@dataclass(frozen=True)
class Ranking:
    """The candidates of one anchor, the highest score first. `rank` is that of the true one, from 1, the last among equals."""

    anchor: int
    candidates: list[int]
    rank: int


def draw_ranked_images(
    rankings: Sequence[Ranking], images: Images, caption: Callable[[int, int], str], question: str, explanation: str
) -> Pixels:
    """One line for each ranking. `caption` gives the text below a candidate (the second number) of an anchor (the first)."""
    tiles = enlarged(images, SIDE)
    height, width = tiles.shape[1:3]
    across, down = max(width, 116) + MARGIN, height + CAPTION
    figure = new_figure(max(LEFT + across * (CANDIDATES + 1) + GAP + MARGIN, 900), TOP + down * len(rankings))
    write(figure, MARGIN, 10, f"{question}  {sum(ranking.rank == 1 for ranking in rankings)} of {len(rankings)} found.", size=14)
    write(figure, MARGIN, 40, explanation, color=FAINT)
    write(figure, LEFT, TOP - 24, "the true image")
    write(figure, LEFT + across + GAP, TOP - 24, "candidates, the highest score first")

    def tile(index: int, anchor: int, left: int, top: int, framed: bool) -> None:
        axes = add_axes(figure, left, top, width, height)
        _draw_tile(axes, tiles[index], caption(anchor, index), (GREEN if index == anchor else RED) if framed else None)

    for line, ranking in enumerate(rankings):
        top, anchor = TOP + line * down, ranking.anchor
        hit, middle = ranking.rank == 1, TOP + line * down + height // 2
        verdict = "the true one\nscores highest" if hit else f"the true one is {_ordinal(ranking.rank)}\nof {len(ranking.candidates)}"
        write(figure, MARGIN, middle - 26, "hit" if hit else "miss", size=15, color=GREEN if hit else RED)
        write(figure, MARGIN, middle, verdict, size=9)
        tile(anchor, anchor, LEFT, top, False)
        for column, index in enumerate(ranking.candidates[:CANDIDATES], start=1):
            tile(index, anchor, LEFT + GAP + column * across, top, column == 1 or index == anchor)
    return to_pixels(figure)


def _draw_tile(axes: "Axes", image: UInt8[np.ndarray, "Y X 3"], caption: str, frame: str | None) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(caption, fontsize=8, labelpad=5)
    for spine in axes.spines.values():
        spine.set(visible=frame is not None, color=frame, linewidth=3)


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
