"""Imagined sequences of images above the real ones."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Bool, UInt8

from framework.visualization.figures import BLANK, FAINT, Images, Pixels, enlarged, new_figure, place_image, to_pixels, write

SIDE: Final = 64
LEFT, TOP, GAP, SPACE = 96, 108, 22, 2
"""In pixels: left of the images, above them, between context and future and between sequences, and between images."""


def draw_imagined_images(
    context: UInt8[np.ndarray, "R K Y X C"],
    imagined: UInt8[np.ndarray, "R H Y X C"],
    real: UInt8[np.ndarray, "R H Y X C"],
    shown: Bool[np.ndarray, "R H"],
    ahead: Sequence[int],
    explanation: str,
) -> Pixels:
    """For each sequence the images that the model has observed, then imagined ones above real ones, blank where not `shown`."""
    tall, wide = (length + SPACE for length in enlarged(context[0, :1], SIDE).shape[1:3])
    start, down = LEFT + context.shape[1] * wide + GAP, 2 * tall + GAP
    figure = new_figure(max(start + len(ahead) * wide + 14, 900), TOP + down * len(context))
    write(figure, 14, 10, "What the model imagines, without a decoder", size=14.0)
    write(figure, 14, 40, explanation, color=FAINT)
    write(figure, LEFT, TOP - 44, "observed by the model")
    write(figure, start, TOP - 44, "imagined from there, with the real actions and no further observation; steps ahead:")
    for line in range(len(context)):
        top = TOP + line * down
        write(figure, 14, top + tall // 2 - 8, "imagined")
        write(figure, 14, top + tall + tall // 2 - 8, "real")
        place_image(figure, _strip(context[line]), LEFT, top + tall)
        place_image(figure, _strip(imagined[line], shown[line]), start, top)
        place_image(figure, _strip(real[line], shown[line]), start, top + tall)
    for column, number in enumerate(ahead):
        write(figure, start + column * wide + wide // 2, TOP - 20, f"+{number}", size=9.0, align="center")
    return to_pixels(figure)


def _strip(images: Images, shown: Bool[np.ndarray, " M"] | None = None) -> Pixels:
    """Images in a row, with white between them."""
    tiles = enlarged(images, SIDE)
    if shown is not None:
        tiles[~shown] = BLANK
    return np.concatenate(np.pad(tiles, ((0, 0), (0, SPACE), (0, SPACE), (0, 0)), constant_values=255), axis=1)
