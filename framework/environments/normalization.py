"""One form for every environment: named float32 vectors and uint8 images from it, one float32 action vector to it.

A continuous action has numbers in [-1, 1]; each choice of a discrete one is a one-hot group, groups side by side.
"""

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np
from dm_env import specs

from framework.errors import UserError

UNLIMITED: Final = 1e9
"""A larger bound is none: MuJoCo writes 1e10 for an actuator without limits."""


@final
class ActionScale:
    """Maps [-1, 1] onto an environment's own range and clips to it. An actuator without limits gets the value unscaled.

    `spec` is the spec of the agent's action.
    """

    def __init__(self, native: specs.Array) -> None:
        self._low = np.broadcast_to(np.asarray(getattr(native, "minimum", -np.inf), np.float64), native.shape)
        self._high = np.broadcast_to(np.asarray(getattr(native, "maximum", np.inf), np.float64), native.shape)
        limited = (np.abs(self._low) < UNLIMITED) & (np.abs(self._high) < UNLIMITED)
        self._middle, self._half = np.zeros(native.shape), np.ones(native.shape)
        self._middle[limited] = (self._high[limited] + self._low[limited]) / 2
        self._half[limited] = (self._high[limited] - self._low[limited]) / 2
        self.spec = specs.BoundedArray((self._middle.size,), np.float32, -1.0, 1.0, name="action")

    def native(self, action: np.ndarray) -> np.ndarray:
        """The environment's actions `[.., *shape]` for `[.., A]`. Raises `ValueError` for a wrong size or numbers that are not finite."""
        action = _finite(action, self._middle.size, "in [-1, 1]")
        scaled = self._middle + self._half * action.reshape((*action.shape[:-1], *self._middle.shape))
        return np.clip(scaled, self._low, self._high)


@final
class ActionChoices:
    """Turns one-hot groups, side by side, into an environment's own integers: the largest number of each group chooses.

    `spec` is the spec of the agent's choices, whose options count from 0; `sizes` are the numbers of options.
    """

    def __init__(self, native: specs.BoundedArray) -> None:
        self._low = np.broadcast_to(np.asarray(native.minimum, np.int64), native.shape).ravel()
        high = np.broadcast_to(np.asarray(native.maximum, np.int64), native.shape).ravel()
        self._native = native
        self.sizes: tuple[int, ...] = tuple((high - self._low + 1).tolist())
        if native.shape:
            self.spec = specs.BoundedArray((high.size,), np.int64, 0, high - self._low, name="action")
        else:
            self.spec = specs.DiscreteArray(self.sizes[0], name="action")

    def native(self, action: np.ndarray) -> Any:
        """The environment's integers `[.., *shape]` for `[.., A]`; a lone choice is an `int`. Raises as `ActionScale.native`."""
        groups = np.split(_finite(action, sum(self.sizes), f"in groups of {self.sizes}"), np.cumsum(self.sizes)[:-1], axis=-1)
        chosen = self._low + np.stack([group.argmax(axis=-1) for group in groups], axis=-1)
        native = chosen.astype(self._native.dtype).reshape((*chosen.shape[:-1], *self._native.shape))
        return native if native.shape else int(native)


def action_form(spec: specs.Array) -> ActionScale | ActionChoices:
    """The map from the agent's action to the environment's: an integer array is one choice for each element."""
    if not np.issubdtype(spec.dtype, np.integer):
        return ActionScale(spec)
    if not isinstance(spec, specs.BoundedArray):
        raise UserError(f"an action of integers needs bounds, and {spec!r} has none; use a dm_env BoundedArray or DiscreteArray.")
    return ActionChoices(spec)


def observation_spec(spec: Any) -> dict[str, specs.Array]:
    """The specs of named observations; a lone array is named `observation`."""
    named = spec if isinstance(spec, Mapping) else {"observation": spec}
    return {name: _array_spec(array, name) for name, array in named.items()}


def observation(value: Any) -> dict[str, np.ndarray]:
    """Copies of the named observations: images stay uint8, everything else becomes a float32 vector."""
    named = value if isinstance(value, Mapping) else {"observation": value}
    return {name: _array(np.asarray(array)) for name, array in named.items()}


def _finite(action: np.ndarray, size: int, kind: str) -> np.ndarray:
    action = np.asarray(action, np.float64)
    if action.shape[-1:] != (size,) or not np.isfinite(action).all():
        raise ValueError(f"an action must be {size} finite numbers {kind}, not {action.tolist()}")
    return action


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
