"""The agent's action in every environment: one float32 vector.

A continuous action has numbers in [-1, 1]; each choice of a discrete one is a one-hot group, groups side by side.
"""

from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np
from dm_env import specs

from framework.errors import UserError

UNLIMITED: Final = 1e9
"""A larger bound is none: MuJoCo writes 1e10 for an actuator without limits."""
MOST_OPTIONS: Final = 2**16
"""Options of all choices together; each is one number of every stored vector."""


@final
class ActionScale:
    """Maps [-1, 1] onto an environment's own range and clips to it. An actuator without limits gets the value unscaled.

    `spec` is the spec of the agent's action, and `size` the length of its vector.
    """

    def __init__(self, native: specs.Array) -> None:
        self._low = np.broadcast_to(np.asarray(getattr(native, "minimum", -np.inf), np.float64), native.shape)
        self._high = np.broadcast_to(np.asarray(getattr(native, "maximum", np.inf), np.float64), native.shape)
        limited = (np.abs(self._low) < UNLIMITED) & (np.abs(self._high) < UNLIMITED)
        low, high = np.where(limited, self._low, -1.0), np.where(limited, self._high, 1.0)
        self._middle, self._half, self._dtype = (high + low) / 2, (high - low) / 2, native.dtype
        self.size = low.size
        self.spec = specs.BoundedArray((self.size,), np.float32, -1.0, 1.0, name="action")

    def native(self, action: np.ndarray) -> np.ndarray:
        """The environment's actions `[.., *shape]` for `[.., A]`. Raises `ValueError` for a wrong size or numbers that are not finite."""
        action = _finite(action, self.size, "in [-1, 1]")
        scaled = self._middle + self._half * action.reshape((*action.shape[:-1], *self._middle.shape))
        return np.asarray(np.clip(scaled, self._low, self._high), self._dtype)


@final
class ActionChoices:
    """Turns one-hot groups, side by side, into an environment's own integers: the largest number of each group chooses.

    `spec` is the spec of the agent's choices, whose options count from 0; `sizes` are the numbers of options and `size` their sum.
    """

    def __init__(self, native: specs.BoundedArray, owner: str) -> None:
        self._native, self.sizes = native, option_counts(owner, "action", native)
        self.size, self._low = sum(self.sizes), np.broadcast_to(native.minimum, native.shape).ravel()
        if native.shape:
            self.spec = specs.BoundedArray((len(self.sizes),), np.int64, 0, np.array(self.sizes, np.int64) - 1, name="action")
        else:
            self.spec = specs.DiscreteArray(self.sizes[0], name="action")

    def native(self, action: np.ndarray) -> Any:
        """The environment's integers `[.., *shape]` for `[.., A]`; a lone choice is a Python number. Raises as `ActionScale.native`."""
        groups = np.split(_finite(action, self.size, f"in groups of {self.sizes}"), np.cumsum(self.sizes)[:-1], axis=-1)
        chosen = np.stack([group.argmax(axis=-1) for group in groups], axis=-1).astype(self._native.dtype)
        native = (self._low + chosen).reshape((*chosen.shape[:-1], *self._native.shape))
        return native if native.shape else native.item()


def action_form(owner: str, spec: Any) -> ActionScale | ActionChoices:
    """The map from the agent's action to that of the environment `owner`: an array of integers or booleans is one choice per element."""
    if not isinstance(spec, specs.Array):
        raise UserError(f"{owner} takes {spec!r}, and an action must be one array; wrap it.")
    if spec.dtype.kind == "f":
        return ActionScale(spec)
    if not isinstance(spec, specs.BoundedArray):
        raise UserError(f"{owner} takes integers without bounds ({spec!r}); use a dm_env BoundedArray or DiscreteArray.")
    return ActionChoices(spec, owner)


def option_counts(owner: str, name: str, spec: specs.BoundedArray) -> tuple[int, ...]:
    """The number of options of each choice. Raises `UserError` for more than `MOST_OPTIONS` in all."""
    low, high = (np.broadcast_to(bound, spec.shape).ravel().tolist() for bound in (spec.minimum, spec.maximum))
    sizes = tuple(int(most) - int(least) + 1 for least, most in zip(low, high, strict=True))
    if sum(sizes) > MOST_OPTIONS:
        raise UserError(
            f"{owner} declares '{name}' as {spec.dtype} of shape {spec.shape} from {min(low)} to {max(high)}: {sum(sizes):,} options, and "
            f"at most {MOST_OPTIONS:,} fit a one-hot vector; wrap it with floats in [-1, 1], to be rounded, or with fewer options."
        )
    return sizes


def one_hot(chosen: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """One-hot groups `[.., sum(sizes)]`, float32 and side by side, of choices `[.., len(sizes)]` that count from 0."""
    groups = [chosen[..., index, None] == np.arange(size) for index, size in enumerate(sizes)]
    return np.concatenate(groups, axis=-1).astype(np.float32)


def _finite(action: np.ndarray, size: int, kind: str) -> np.ndarray:
    action = np.asarray(action, np.float64)
    if action.shape[-1:] != (size,) or not np.isfinite(action).all():
        raise ValueError(f"an action must be {size} finite numbers {kind}, not {action.tolist()}")
    return action
