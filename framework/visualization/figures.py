"""Figures of exact pixel size, which never touch the user's matplotlib backend. matplotlib is imported when one is drawn."""

import logging
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from einops import repeat
from jaxtyping import UInt8

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

log: Final = logging.getLogger(__name__)
DPI: Final = 100
FAINT, GREEN, RED, BLANK = "0.43", "#00963c", "#cd1919", 228

Pixels = UInt8[np.ndarray, "height width 3"]
Images = UInt8[np.ndarray, "M Y X C"]


def new_figure(width: int, height: int) -> "Figure":
    """An empty figure of so many pixels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI)


def add_axes(figure: "Figure", left: int, top: int, width: int, height: int) -> "Axes":
    """Axes at a place in pixels from the upper left corner."""
    across, down = figure.get_size_inches() * DPI
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def write(figure: "Figure", left: int, top: int, text: str, size: float = 10.0, color: str = "0.1", align: str = "left") -> None:
    """Text at a place in pixels: of its upper left corner, or of the middle of its top."""
    across, down = figure.get_size_inches() * DPI
    place = {"x": left / across, "y": 1 - top / down, "verticalalignment": "top", "horizontalalignment": align}
    figure.text(s=text, fontsize=size, color=color, **place)


def place_image(figure: "Figure", image: Pixels, left: int, top: int, frame: str | None = None) -> None:
    """An image, pixel by pixel, with its upper left corner at a place; around it a frame of a color."""
    from matplotlib.patches import Rectangle

    height, width = image.shape[:2]
    bottom = round(figure.get_size_inches()[1] * DPI) - top - height
    figure.figimage(image, left, bottom)
    if frame is not None:
        figure.add_artist(Rectangle((left - 2, bottom - 2), width + 4, height + 4, transform=None, fill=False, color=frame, linewidth=3))


def to_pixels(figure: "Figure") -> Pixels:
    """Draw a figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()


def to_rgb(images: Any) -> Any:
    """The array or tensor `[.., C]` of images as red, green and blue.

    One channel is gray. Of stacked frames, 3k channels, the last is shown. Of any other number, the first three, or the first as gray.
    """
    channels = images.shape[-1]
    if channels % 3 == 0:
        return images[..., -3:]
    if channels > 1:
        _warn_of_channels(channels)
    return images[..., :3] if channels > 3 else repeat(images[..., :1], "... 1 -> ... color", color=3)


@cache
def _warn_of_channels(channels: int) -> None:
    shown = "the first three, as red, green and blue" if channels > 3 else "the first, as gray"
    log.warning("Of images with %d channels, pictures and videos show %s.", channels, shown)


def enlarged(images: Images, side: int) -> UInt8[np.ndarray, "M height width 3"]:
    """Images in color, each pixel repeated so that the longer side comes near to `side`."""
    factor = max(1, round(side / max(images.shape[1:3])))
    return repeat(to_rgb(images), "m y x c -> m (y a) (x b) c", a=factor, b=factor)
