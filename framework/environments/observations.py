"""One form of every environment's observation: named uint8 images `[height, width, channel]` and float32 vectors.

What an environment gives is compared with what it declared; where they differ, a sentence names both.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, final

import numpy as np
from dm_env import specs

from framework.environments.actions import one_hot, option_counts
from framework.errors import UserError

Rows = tuple[int, ...]
"""The leading axis of a batch of environments, `(n,)`, or none."""
REWARD: Final = specs.Array((), np.float64)
FLAG: Final = specs.Array((), np.bool_)
ACCEPTED: Final = {"b": "b", "i": "biu", "u": "iu", "f": "biuf"}
"""The kinds of numbers that may be given for a declared kind; whole numbers must be in bounds."""


@final
class ObservationForm:
    """Named images and vectors of the environment `owner`, which declares `native`, its own dm_env specs; `spec` holds the agent's.

    An array of uint8 with two or three axes is an image, everything else becomes a vector, in which `choices` are one-hot. A lone array
    is named `observation`. Raises `UserError` for stacked images, images with channels first, and arrays that do not hold numbers.
    """

    def __init__(self, owner: str, native: Any, choices: Collection[str] = ()) -> None:
        self._owner, self._native = owner, _named(native)
        self.spec = {name: _normalized_spec(owner, name, spec) for name, spec in self._native.items()}
        self._options = {name: option_counts(owner, name, self._native[name]) for name in choices}
        self.spec |= {name: specs.Array((sum(sizes),), np.float32, name=name) for name, sizes in self._options.items()}

    def normalize(self, value: Any, rows: Rows = ()) -> dict[str, np.ndarray]:
        """Copies of the named arrays, `[*rows, ..]`, in the agent's form. Raises `UserError` where they are not what was declared."""
        named = _named(value)
        if named.keys() != self.spec.keys():
            raise UserError(f"{self._owner} declares the observations {[*self.spec]}, and gives {[*named]}; make the two agree.")
        return {name: self._normalized(name, named[name], rows) for name in self.spec}

    def _normalized(self, name: str, value: Any, rows: Rows) -> np.ndarray:
        declared, spec = self._native[name], self.spec[name]
        array = agreed(self._owner, name, declared, value, rows)
        if sizes := self._options.get(name):
            return one_hot((array - declared.minimum).reshape(*rows, len(sizes)), sizes)
        return np.array(array, spec.dtype, order="C").reshape(*rows, *spec.shape)


def agreed(owner: str, name: str, declared: specs.Array, value: Any, rows: Rows = ()) -> np.ndarray:
    """A value as an array, if it is what was declared: the shape, and numbers that its type holds."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # ragged, or on another device
        array = np.array(None)
    shape = (*rows, *declared.shape)
    if array.shape == shape and array.dtype.kind in ACCEPTED[declared.dtype.kind] and _in_bounds(array, declared):
        return array
    raise UserError(f"{owner} declares '{name}' as {_expected(declared, shape)}, and gives {_described(value, array)}; make the two agree.")


def _image_shape(owner: str, name: str, spec: specs.Array) -> tuple[int, ...] | None:
    """The height, width and channels of an image, or None for a vector."""
    shape = spec.shape
    if spec.dtype != np.uint8 or len(shape) < 2:
        return None
    if len(shape) > 3:
        joined = f" as channels, {(*shape[1:3], shape[0] * shape[3])}" if len(shape) == 4 else ""
        raise UserError(
            f"{owner} declares '{name}' as uint8 of shape {shape}, and an image has the axes height, width and channel: "
            f"show the newest image of a stack alone, as the latent remembers the others, or join them{joined}."
        )
    if len(shape) == 3 and shape[0] <= 4 < shape[2]:
        raise UserError(f"{owner} declares '{name}' as images {shape} with channels first; put them last, in a wrapper.")
    return (*shape, 1)[:3]


def _named(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {"observation": value}


def _normalized_spec(owner: str, name: str, spec: Any) -> specs.Array:
    if not isinstance(spec, specs.Array) or spec.dtype.kind not in ACCEPTED:
        raise UserError(f"{owner} declares '{name}' as {spec!r}, which is no array of numbers; wrap it.")
    if shape := _image_shape(owner, name, spec):
        return specs.BoundedArray(shape, np.uint8, 0, 255, name=name)
    return specs.Array((int(np.prod(spec.shape)),), np.float32, name=name)


def _in_bounds(array: np.ndarray, declared: specs.Array) -> bool:
    if declared.dtype.kind not in "iu":
        return True
    low, high = _bounds(declared)
    return bool((array >= low).all() and (array <= high).all())


def _bounds(declared: specs.Array) -> tuple[Any, Any]:
    if isinstance(declared, specs.BoundedArray):
        return declared.minimum, declared.maximum
    return np.iinfo(declared.dtype).min, np.iinfo(declared.dtype).max


def _expected(declared: specs.Array, shape: tuple[int, ...]) -> str:
    if not shape and declared.dtype.kind in "bf":
        return "one number" if declared.dtype.kind == "f" else "True or False"
    return f"{declared.dtype} of shape {shape}" + (_span(*_bounds(declared)) if declared.dtype.kind in "iu" else "")


def _described(value: Any, array: np.ndarray) -> str:
    if array.dtype.kind not in ACCEPTED:
        return repr(value)[:80]
    return f"{array.dtype} of shape {array.shape}" + (_span(array, array) if array.size else "")


def _span(low: Any, high: Any) -> str:
    return f" from {float(np.min(low)):g} to {float(np.max(high)):g}"
