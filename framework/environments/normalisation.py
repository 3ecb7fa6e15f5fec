"""One form for every environment: named float32 vectors and uint8 images in, actions in [-1, 1] out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from dm_env import specs

UNLIMITED: Final = 1e9
"""A bound from here on means no bound: MuJoCo writes 1e10 for an actuator without limits."""


@final
@dataclass(frozen=True)
class ActionScale:
    """Maps [-1, 1] onto an environment's own range, and clips to it; an actuator without limits gets the value as it is."""

    middle: np.ndarray
    half: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @staticmethod
    def of(spec: specs.Array) -> "ActionScale":
        low = np.broadcast_to(np.asarray(getattr(spec, "minimum", -np.inf), np.float64), spec.shape)
        high = np.broadcast_to(np.asarray(getattr(spec, "maximum", np.inf), np.float64), spec.shape)
        limited = (np.abs(low) < UNLIMITED) & (np.abs(high) < UNLIMITED)
        middle, half = np.zeros(spec.shape), np.ones(spec.shape)
        middle[limited] = (high[limited] + low[limited]) / 2
        half[limited] = (high[limited] - low[limited]) / 2
        return ActionScale(middle=middle, half=half, low=low, high=high)

    @property
    def spec(self) -> specs.BoundedArray:
        """The action as the agent sees it."""
        return specs.BoundedArray((self.middle.size,), np.float32, -1.0, 1.0, name="action")

    def native(self, action: np.ndarray) -> np.ndarray:
        """The action as the environment takes it. Raises `ValueError` for a wrong shape, and for what is not finite."""
        action = np.asarray(action, np.float64)
        if action.shape != (self.middle.size,) or not np.isfinite(action).all():
            raise ValueError(f"an action must be {self.middle.size} finite numbers in [-1, 1], and not {action.tolist()}")
        scaled = self.middle + self.half * action.reshape(self.middle.shape)
        return np.clip(scaled, self.low, self.high)


def observation_spec(spec: Any) -> dict[str, specs.Array]:
    """The specs of named observations; a lone array is named `observation`."""
    named = spec if isinstance(spec, Mapping) else {"observation": spec}
    return {name: _array_spec(array, name) for name, array in named.items()}


def observation(value: Any) -> dict[str, np.ndarray]:
    """The named observations, in arrays of their own: images stay uint8, all else becomes a float32 vector."""
    named = value if isinstance(value, Mapping) else {"observation": value}
    return {name: _array(np.asarray(array)) for name, array in named.items()}


def _is_image(array: specs.Array | np.ndarray) -> bool:
    return array.dtype == np.uint8 and len(array.shape) == 3


def _array_spec(spec: specs.Array, name: str) -> specs.Array:
    if _is_image(spec):
        return specs.BoundedArray(spec.shape, np.uint8, 0, 255, name=name)
    return specs.Array((int(np.prod(spec.shape)),), np.float32, name=name)


def _array(array: np.ndarray) -> np.ndarray:
    if _is_image(array):
        return np.array(array, order="C")
    return np.array(array, np.float32, order="C").reshape(-1)
