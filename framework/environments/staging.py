"""Staging: what a wrapper changes about the images of an environment, and never about what happens in it."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np

from framework.environments.base import Seekable

Scenery = Literal["sky", "ground"]
SOFTNESS: Final = 64
"""How far, in 255ths, a color must be from the key to cover the background whole."""


@final
@dataclass(frozen=True)
class View:
    """Where a camera goes from its own place, on a sphere around what it looks at; zeros leave it where it is.

    `right`, `up` and `roll` are in radians; the distance grows by the share `away`, more than -1.
    """

    right: float = 0.0
    up: float = 0.0
    roll: float = 0.0
    away: float = 0.0


@final
@dataclass(frozen=True, eq=False)
class Staging:
    """How images look from the next on: an uint8 background in place of the sky, or of the ground too; colors; the camera.

    `tint`, one row of red, green and blue for each of the scene's colors, is added to them, in [0, 1].
    """

    background: np.ndarray | None = None
    behind: Scenery = "ground"
    tint: np.ndarray | None = None
    view: View = View()


class Scenic(Seekable):
    """An environment that renders its image `pixels` from a scene, and can render it otherwise."""

    @property
    @abstractmethod
    def colors(self) -> np.ndarray:
        """The colors of the scene that can be tinted, one row of red, green and blue for each, in [0, 1]."""

    @abstractmethod
    def stage(self, staging: Staging) -> None:
        """Let the next images look like this."""


def composite(front: np.ndarray, coverage: np.ndarray, background: np.ndarray) -> np.ndarray:
    """`front + (1 - coverage) background`, as uint8: `front` is what is seen of the foreground, dark where it covers nothing."""
    return np.clip(np.rint(front + (1.0 - coverage) * background), 0, 255).astype(np.uint8)


def replace_color(image: np.ndarray, key: tuple[int, int, int], background: np.ndarray) -> np.ndarray:
    """Put a background in place of one color of an image.

    What is nearer to it than `SOFTNESS`, as at smoothed edges, covers the background in part, and the key is taken out of it.
    """
    image, color = image.astype(np.float32), np.asarray(key, np.float32)
    coverage = np.clip(np.abs(image - color).max(axis=-1, keepdims=True) / SOFTNESS, 0.0, 1.0)
    return composite(image - (1.0 - coverage) * color, coverage, background)
