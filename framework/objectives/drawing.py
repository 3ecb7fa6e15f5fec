"""Pictures that people read: images, frames and words on white paper."""

from typing import TYPE_CHECKING, Final, final

import numpy as np
import torch
from einops import repeat
from jaxtyping import UInt8
from torch import Tensor

if TYPE_CHECKING:
    from PIL import ImageFont

Color = tuple[int, int, int]
Picture = UInt8[Tensor, "height width 3"]
Pixels = UInt8[np.ndarray, "height width 3"]

WHITE: Final[Color] = (255, 255, 255)
BLACK: Final[Color] = (20, 20, 20)
FAINT: Final[Color] = (110, 110, 110)
BLANK: Final[Color] = (228, 228, 228)
GREEN: Final[Color] = (0, 150, 60)
RED: Final[Color] = (205, 25, 25)


def factor_for(image: UInt8[Tensor, "Y X C"], side: int) -> int:
    """How often to repeat each pixel, so that the longer side comes near to `side`."""
    return max(1, round(side / max(image.shape[:2])))


def enlarged(image: UInt8[Tensor, "Y X C"], factor: int) -> Pixels:
    """An image in color, each pixel repeated. Of stacked images, the newest."""
    pixels = image.cpu().numpy()
    colors = pixels[..., -3:] if pixels.shape[-1] >= 3 else repeat(pixels[..., -1], "y x -> y x 3")
    return repeat(colors, "y x c -> (y a) (x b) c", a=factor, b=factor)


@final
class Canvas:
    """White paper; places are in pixels from the upper left corner."""

    def __init__(self, *, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        self._image = Image.new("RGB", (width, height), WHITE)
        self._draw = ImageDraw.Draw(self._image)

    def place(self, image: Pixels, *, x: int, y: int) -> None:
        from PIL import Image

        self._image.paste(Image.fromarray(np.ascontiguousarray(image)), (x, y))

    def write(self, words: str, *, x: int, y: int, size: int = 13, color: Color = BLACK, anchor: str = "la") -> None:
        """`anchor` says which point of the words is at the place, as Pillow has it: `ma` is the middle of the top."""
        self._draw.text((x, y), words, fill=color, font=_font(size), anchor=anchor)

    def write_upward(self, words: str, *, x: int, y: int, size: int = 13) -> None:
        """From below to above, the middle at the height `y`."""
        from PIL import Image, ImageDraw

        length = round(self._draw.textlength(words, font=_font(size)))
        strip = Image.new("RGB", (length, 2 * size), WHITE)
        ImageDraw.Draw(strip).text((0, 0), words, fill=BLACK, font=_font(size))
        self._image.paste(strip.transpose(Image.Transpose.ROTATE_90), (x, y - length // 2))

    def frame(self, *, x: int, y: int, width: int, height: int, color: Color, thickness: int) -> None:
        """Around an area, not over it."""
        for step in range(1, thickness + 1):
            self._draw.rectangle((x - step, y - step, x + width - 1 + step, y + height - 1 + step), outline=color)

    def fill(self, *, x: int, y: int, width: int, height: int, color: Color) -> None:
        self._draw.rectangle((x, y, x + width - 1, y + height - 1), fill=color)

    def picture(self) -> Picture:
        return torch.from_numpy(np.array(self._image))


def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)
