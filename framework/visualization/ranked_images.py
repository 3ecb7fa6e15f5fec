"""For a few anchors: the true image, and the candidates of highest score with the true one framed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from framework.visualization.figures import FAINT, GREEN, RED, Images, Pixels, enlarged, new_figure, place_image, to_pixels, write

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
    write(figure, MARGIN, 10, f"{question}  {sum(ranking.rank == 1 for ranking in rankings)} of {len(rankings)} found.", size=14.0)
    write(figure, MARGIN, 40, explanation, color=FAINT)
    write(figure, LEFT, TOP - 24, "the true image")
    write(figure, LEFT + across + GAP, TOP - 24, "candidates, the highest score first")

    def tile(index: int, anchor: int, left: int, top: int, framed: bool) -> None:
        place_image(figure, tiles[index], left, top, (GREEN if index == anchor else RED) if framed else None)
        write(figure, left + width // 2, top + height + 5, caption(anchor, index), size=8.0, align="center")

    for line, ranking in enumerate(rankings):
        top, anchor = TOP + line * down, ranking.anchor
        hit, middle = ranking.rank == 1, TOP + line * down + height // 2
        verdict = "the true one\nscores highest" if hit else f"the true one is {_ordinal(ranking.rank)}\nof {len(ranking.candidates)}"
        write(figure, MARGIN, middle - 26, "hit" if hit else "miss", size=15.0, color=GREEN if hit else RED)
        write(figure, MARGIN, middle, verdict, size=9.0)
        tile(anchor, anchor, LEFT, top, False)
        for column, index in enumerate(ranking.candidates[:CANDIDATES], start=1):
            tile(index, anchor, LEFT + GAP + column * across, top, column == 1 or index == anchor)
    return to_pixels(figure)


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
