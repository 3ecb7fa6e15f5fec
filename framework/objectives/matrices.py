"""A matrix as a picture: a color for each number, groups outlined, and a scale beside it."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor

from framework.objectives.drawing import FAINT, WHITE, Canvas, Color, Pixels

VIRIDIS: Final[tuple[Color, ...]] = (
    (0x44, 0x01, 0x54), (0x48, 0x28, 0x78), (0x3E, 0x49, 0x89), (0x31, 0x68, 0x8E), (0x26, 0x82, 0x8E),
    (0x1F, 0x9E, 0x89), (0x35, 0xB7, 0x79), (0x6E, 0xCE, 0x58), (0xB5, 0xDE, 0x2B), (0xFD, 0xE7, 0x25),
)  # fmt: skip
"""Ten colors at equal distances on the perceptually uniform map of that name (Smith and van der Walt, 2015)."""
LEFT_OUT: Final[Color] = (190, 190, 190)
OWN: Final[Color] = (255, 70, 60)
SIDE: Final = 560
"""About how many pixels wide a matrix is drawn."""
MARGIN: Final = 64


@dataclass(frozen=True)
class Matrix:
    """A square of numbers in groups of equal size along both axes, and what is written around it. `low` is the darkest color's."""

    values: Float[Tensor, "N N"]
    kept: Bool[Tensor, "N N"]
    group: int
    low: float
    high: float
    title: str
    rows: str
    columns: str

    @property
    def factor(self) -> int:
        """The side of a cell, in pixels."""
        return max(1, round(SIDE / self.values.shape[0]))

    @property
    def side(self) -> int:
        return self.factor * self.values.shape[0]

    @property
    def width(self) -> int:
        """With what is written to its left and right."""
        return self.side + MARGIN + 100

    @property
    def height(self) -> int:
        """With what is written above and below."""
        return self.side + 78


def draw_matrix(canvas: Canvas, shown: Matrix, *, x: int, y: int) -> None:
    """Draw it with its upper left corner there; what is not kept is gray, and each group's own block outlined in red."""
    left, top, side = x + MARGIN, y + 24, shown.side
    canvas.write(shown.title, x=left, y=y, size=14)
    cells = _colors(shown.values.cpu().numpy(), shown.low, shown.high)
    cells[~shown.kept.cpu().numpy()] = LEFT_OUT
    canvas.place(repeat(cells, "y x c -> (y a) (x b) c", a=shown.factor, b=shown.factor), x=left, y=top)
    _outline(canvas, shown, left, top)
    canvas.write(shown.columns, x=left + side // 2, y=top + side + 26, anchor="ma")
    canvas.write_upward(shown.rows, x=x, y=top + side // 2)
    _draw_scale(canvas, shown, left + side + 18, top)


def _colors(values: Float[np.ndarray, "Y X"], low: float, high: float) -> Pixels:
    place = np.clip((np.nan_to_num(values, nan=low, neginf=low) - low) / max(high - low, 1e-9), 0, 1) * (len(VIRIDIS) - 1)
    channels = [np.interp(place, range(len(VIRIDIS)), channel) for channel in zip(*VIRIDIS, strict=True)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _outline(canvas: Canvas, shown: Matrix, left: int, top: int) -> None:
    block = shown.group * shown.factor
    apart = max(1, math.ceil(26 / block))
    places = range(0, shown.side, block)
    for at in places[1:]:
        canvas.fill(x=left + at, y=top, width=1, height=shown.side, color=WHITE)
        canvas.fill(x=left, y=top + at, width=shown.side, height=1, color=WHITE)
    for index, at in enumerate(places):
        canvas.frame(x=left + at + 1, y=top + at + 1, width=block - 2, height=block - 2, color=OWN, thickness=2)
        if index % apart == 0:
            canvas.write(str(index), x=left + at + block // 2, y=top + shown.side + 6, size=12, anchor="ma")
            canvas.write(str(index), x=left - 8, y=top + at + block // 2, size=12, anchor="rm")


def _draw_scale(canvas: Canvas, shown: Matrix, x: int, y: int) -> None:
    ramp = _colors(np.linspace(shown.high, shown.low, shown.side)[:, None], shown.low, shown.high)
    canvas.place(repeat(ramp, "y 1 c -> y x c", x=16), x=x, y=y)
    step = _round_step(shown.high - shown.low)
    for number in range(math.ceil(shown.low / step - 1e-9), math.floor(shown.high / step + 1e-9) + 1):
        at = y + round((shown.high - number * step) / max(shown.high - shown.low, 1e-9) * (shown.side - 1))
        canvas.fill(x=x + 16, y=at, width=5, height=1, color=FAINT)
        canvas.write(f"{number * step:.6g}", x=x + 25, y=at, size=12, anchor="lm")
    if bool((shown.values[shown.kept] < shown.low).any()):
        canvas.write("and less", x=x - 2, y=y + shown.side + 6, size=11, color=FAINT)


def _round_step(extent: float) -> float:
    """1, 2 or 5 times a power of ten, so that about six fit in."""
    rough = max(extent, 1e-9) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
