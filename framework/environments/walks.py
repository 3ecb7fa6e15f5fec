"""How colours and cameras wander within an episode: random walks after the Distracting Control Suite.

Source: Stone et al. 2021, arXiv 2101.02722; `reach` is its difficulty, 0.1 easy, 0.2 medium, 0.3 hard. The numbers of the camera's
walk are ours.
"""

from typing import Final, final

import numpy as np

from framework.environments.staging import View

STEP: Final = 0.03
PUSH, FASTEST = 1 / 150, 1 / 25
CLOSER, FARTHER = 0.5, 1.5


@final
class ColorWalk:
    """What is added to each of some colours, in [0, 1].

    x_0 ~ U(-reach, reach),    x_{t+1} = clip(x_t + 0.03 reach n, -reach, reach),    n ~ N(0, 1)
    """

    def __init__(self, *, colours: int, reach: float, random: np.random.Generator) -> None:
        self.reach, self._random = reach, random
        self.tint = random.uniform(-reach, reach, (colours, 3))

    def step(self) -> None:
        moved = self.tint + STEP * self.reach * self._random.standard_normal(self.tint.shape)
        self.tint = np.clip(moved, -self.reach, self.reach)


@final
class CameraWalk:
    """Where the camera goes: angles of at most reach pi/2, and a distance from (1 - 0.5 reach) to (1 + 1.5 reach) of its own.

        u_0 ~ U(-1, 1),    v_{t+1} = clip(v_t + n / 150, -1/25, 1/25),    u_{t+1} = clip(u_t + v_{t+1}, -1, 1),    n ~ N(0, 1)

    for each of the two directions, the roll and the distance.
    """

    def __init__(self, *, reach: float, random: np.random.Generator) -> None:
        self.reach, self._random = reach, random
        self._place = random.uniform(-1, 1, 4)
        self._speed = np.zeros(4)

    def step(self) -> None:
        self._speed = np.clip(self._speed + PUSH * self._random.standard_normal(4), -FASTEST, FASTEST)
        moved = self._place + self._speed
        self._place = np.clip(moved, -1, 1)
        # At the end of its reach it stands still, and does not lean on the end for as long as its speed would last.
        self._speed = np.where(moved == self._place, self._speed, 0.0)

    @property
    def view(self) -> View:
        right, up, roll = (self._place[:3] * self.reach * np.pi / 2).tolist()
        away = float(self._place[3]) * self.reach * (FARTHER if self._place[3] > 0 else CLOSER)
        return View(right=right, up=up, roll=roll, away=away)
