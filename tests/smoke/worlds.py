"""A world of closed form that is quickly learned: a point on a line, rewarded for its distance to a target."""

from typing import Literal, final

import dm_env
import numpy as np
from dm_env import specs

from framework.environments.base import Seekable

SIDE = 8
SPEED = 0.5
"""The largest step of the point; the line has length two."""
END = 0.75

Player = Literal["random", "still", "blind", "perfect"]


@final
class Reach(Seekable):
    """Both the point `x` and its target lie in [-1, 1]: `x <- clip(x + 0.5 a)`, reward `1 - 2 |x - target|`, `length` steps.

    The target lies anywhere, or at one of two `ends`. It is visible `always`, or `at_first` alone, as a task of memory. `show` is an image
    of 8 x 8 whose upper half has a red bar up to the point and a green one up to the target, or the same as numbers. The lower half is
    black, or `noise`: unpredictable pixels at every step. Choices are left, stay and right.
    """

    def __init__(
        self,
        *,
        seed: int,
        length: int = 16,
        targets: Literal["anywhere", "ends"] = "anywhere",
        target_visible: Literal["always", "at_first"] = "always",
        show: Literal["pixels", "numbers"] = "pixels",
        noise: bool = False,
        actions: Literal["numbers", "choices"] = "numbers",
    ) -> None:
        self._seed, self._length, self._targets, self._target_visible = seed, length, targets, target_visible
        self._show, self._noise, self._choices = show, noise, actions == "choices"
        self._episode, self._count = -1, length

    def seek(self, episode: int) -> None:
        self._episode, self._count = episode - 1, self._length

    def reset(self) -> dm_env.TimeStep:
        self._episode += 1
        self._count = 0
        self._random = np.random.default_rng([self._seed, self._episode])
        self.point, self.target = self._random.uniform(-1, 1, 2)
        if self._targets == "ends":
            self.target = END if self.target > 0 else -END
        return dm_env.restart(self._observe())

    def step(self, action: np.ndarray | int) -> dm_env.TimeStep:
        if self._count >= self._length:
            return self.reset()
        self._count += 1
        moved = float(np.ravel(action)[0]) - self._choices
        self.point = float(np.clip(self.point + SPEED * moved, -1, 1))
        reward = 1 - 2 * abs(self.point - self.target)
        if self._count < self._length:
            return dm_env.transition(reward, self._observe())
        return dm_env.truncation(reward, self._observe())

    def played(self, player: Player, random: np.random.Generator) -> np.ndarray:
        """The action of a player: toward the target, toward the center, none, or random."""
        goals = {"perfect": self.target, "blind": 0.0, "still": self.point, "random": self.point + SPEED * random.uniform(-1, 1)}
        action = np.clip([(goals[player] - self.point) / SPEED], -1, 1)
        if not self._choices:
            return action
        return random.integers(3, size=1) if player == "random" else np.round(action).astype(np.int64) + 1

    def observation_spec(self) -> dict[str, specs.Array]:
        if self._show == "pixels":
            return {"pixels": specs.BoundedArray((SIDE, SIDE, 3), np.uint8, 0, 255, name="pixels")}
        return {name: specs.Array((1,), np.float32, name=name) for name in ("point", "target")}

    def action_spec(self) -> specs.Array:
        return specs.DiscreteArray(3, name="action") if self._choices else specs.BoundedArray((1,), np.float32, -1.0, 1.0, name="action")

    def _observe(self) -> dict[str, np.ndarray]:
        visible = self._target_visible == "always" or self._count == 0
        if self._show == "numbers":
            return {"point": np.array([self.point], np.float32), "target": np.array([visible * self.target], np.float32)}
        pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
        pixels[: SIDE // 2, :, 0] = _bar(self.point)
        if visible:
            pixels[: SIDE // 2, :, 1] = _bar(self.target)
        if self._noise:
            pixels[SIDE // 2 :] = self._random.integers(0, 256, (SIDE // 2, SIDE, 3))
        return {"pixels": pixels}


def _bar(position: float) -> np.ndarray:
    """A bar from the left up to a position in [-1, 1], whose last column is shaded."""
    return (255 * np.clip((position + 1) / 2 * SIDE - np.arange(SIDE), 0, 1)).astype(np.uint8)
