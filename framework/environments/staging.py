"""Staging: changes to the images of an environment that leave its physics alone."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np

from framework.environments.base import Seekable

Scenery = Literal["sky", "ground"]
SOFTNESS: Final = 64
"""The distance from the key color, in 255ths, from which on a pixel covers the background whole."""


@final
@dataclass(frozen=True)
class CameraView:
    """A displacement of the camera on a sphere around the point that it looks at; zeros are none.

    `right`, `up` and `roll` are in radians; the distance grows by the share `away`, which is more than -1.
    """

    right: float = 0.0
    up: float = 0.0
    roll: float = 0.0
    away: float = 0.0


@final
@dataclass(frozen=True, eq=False)
class Staging:
    """The look of images from the next one on: a uint8 background in place of the sky (and the ground), a tint, a camera view.

    `tint` `[colors, 3]` is added to the colors of the scene, which are in [0, 1].
    """

    background: np.ndarray | None = None
    behind: Scenery = "ground"
    tint: np.ndarray | None = None
    view: CameraView = CameraView()


class Scenic(Seekable):
    """An environment that renders its image `pixels` from a scene whose look can be changed."""

    @property
    @abstractmethod
    def colors(self) -> np.ndarray:
        """The colors of the scene that can be tinted, `[colors, 3]` in [0, 1]."""

    @abstractmethod
    def stage(self, staging: Staging) -> None:
        """Stage the images from the next one on."""


def composite(front: np.ndarray, coverage: np.ndarray, background: np.ndarray) -> np.ndarray:
    """`front + (1 - coverage) background`, as uint8. `front` is the foreground weighted by its coverage."""
    return np.clip(np.rint(front + (1.0 - coverage) * background), 0, 255).astype(np.uint8)


def replace_color(image: np.ndarray, key: tuple[int, int, int], background: np.ndarray) -> np.ndarray:
    """Replace one color of an image by a background.

    Pixels nearer to the key than `SOFTNESS`, as at smoothed edges, cover the background in part, and the key is taken out of them.
    """
    image, color = image.astype(np.float32), np.asarray(key, np.float32)
    coverage = np.clip(np.abs(image - color).max(axis=-1, keepdims=True) / SOFTNESS, 0.0, 1.0)
    return composite(image - (1.0 - coverage) * color, coverage, background)
