"""Random walks of colors and cameras within an episode, as in the Distracting Control Suite.

Source: Stone et al. 2021, arXiv 2101.02722, and the code released with it; `reach` is its difficulty, 0.1 easy, 0.2 medium, 0.3 hard.
"""

from typing import Final, final

import numpy as np

from framework.environments.staging import CameraView

STEP: Final = 0.03
"""The standard deviation of a step of a color, as a share of its reach."""
TURN: Final = np.pi / 2
"""The largest angle and roll of a camera of reach 1."""
CLOSER, FARTHER = 0.5, 1.5
PUSH, FASTEST = 1 / 40, 1 / 10
"""Noise and limit of a camera's velocity, in first distances from its target: the suite's 0.1 and 0.4 for a distance of 4."""
ROLL_PUSH, ROLL_FASTEST = np.pi / 300, np.pi / 50


@final
class ColorWalk:
    """A shift `tint` of colors that keeps them in [0, 1].

    x_0 ~ U(low, high),    x_{t+1} = clip(x_t + 0.03 reach n, low, high),    n ~ N(0, 1)

    where `low .. high` is `-reach .. reach`, cut so that color and shift add up to [0, 1].
    """

    def __init__(self, *, colors: np.ndarray, reach: float, random: np.random.Generator) -> None:
        self.reach, self._random = reach, random
        self._low, self._high = np.maximum(-reach, -colors), np.minimum(reach, 1 - colors)
        self.tint = random.uniform(self._low, self._high)

    def step(self) -> None:
        moved = self.tint + STEP * self.reach * self._random.standard_normal(self.tint.shape)
        self.tint = np.clip(moved, self._low, self._high)


@final
class CameraWalk:
    """A camera on a sphere: angles of at most `reach pi/2`, and a distance from `1 - 0.5 reach` to `1 + 1.5 reach` of the first one.

        v <- v + reach n / 40, |v| <= reach / 10,    p' = clip(p + v),    v <- p' - p,    n ~ N(0, 1) in each direction

    `p` is the position and `v` the velocity, in units of the first distance; both begin uniformly. The roll walks by itself, with steps of
    `reach pi / 300` and a speed of at most `reach pi / 50`. At the end of its reach the camera stops.
    """

    def __init__(self, *, reach: float, random: np.random.Generator) -> None:
        self.reach, self._random = reach, random
        self._low, self._high = reach * np.array([-CLOSER, -TURN, -TURN]), reach * np.array([FARTHER, TURN, TURN])
        self._place = random.uniform(self._low, self._high)
        direction = random.standard_normal(3)
        self._speed = direction / np.linalg.norm(direction) * random.uniform(0, FASTEST * reach)
        self._roll = random.uniform(-TURN * reach, TURN * reach)
        self._rolling = random.uniform(-ROLL_FASTEST * reach, ROLL_FASTEST * reach)

    def step(self) -> None:
        pushed = self._speed + PUSH * self.reach * self._random.standard_normal(3)
        fastest = FASTEST * self.reach
        pushed *= fastest / max(float(np.linalg.norm(pushed)), fastest, np.finfo(float).tiny)
        previous = _in_space(self._place)
        self._place = np.clip(_on_sphere(previous + pushed), self._low, self._high)
        self._speed = _in_space(self._place) - previous
        limit = ROLL_FASTEST * self.reach
        rolling = np.clip(self._rolling + ROLL_PUSH * self.reach * self._random.standard_normal(), -limit, limit)
        roll = np.clip(self._roll + rolling, -TURN * self.reach, TURN * self.reach)
        self._roll, self._rolling = float(roll), float(roll - self._roll)

    @property
    def view(self) -> CameraView:
        away, right, up = self._place.tolist()
        return CameraView(right=right, up=up, roll=self._roll, away=away)


def _in_space(place: np.ndarray) -> np.ndarray:
    """The point of (distance - 1, angle to the right, angle up)."""
    away, right, up = place
    return (1 + away) * np.array([np.cos(up) * np.cos(right), np.cos(up) * np.sin(right), np.sin(up)])


def _on_sphere(point: np.ndarray) -> np.ndarray:
    """The inverse of `_in_space`."""
    forward, side, height = point
    return np.array([np.linalg.norm(point) - 1, np.arctan2(side, forward), np.arctan2(height, np.hypot(forward, side))])
