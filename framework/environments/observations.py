"""One form of every environment's observation: named uint8 images `[height, width, channel]` and float32 vectors.

What an environment gives is compared with what it declared; where they differ, a sentence names both.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, final

import numpy as np
from dm_env import specs
from einops import rearrange
from PIL import Image

from framework.environments.actions import one_hot, option_counts
from framework.errors import UserError

Rows = tuple[int, ...]
"""The leading axis of a batch of environments, `(n,)`, or none."""
Size = tuple[int, int] | None
"""The height and width of images; None keeps their own."""
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

    def __init__(self, owner: str, native: Any, choices: Collection[str] = (), size: Size = None) -> None:
        self._owner, self._native, self._size = owner, _named(native), size
        self.spec = {name: _normalized_spec(owner, name, spec, size) for name, spec in self._native.items()}
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
        if spec.dtype == np.uint8:
            return resized(array.reshape(*rows, *_image_shape(declared)), self._size)
        return np.array(array, np.float32, order="C").reshape(*rows, *spec.shape)


def agreed(owner: str, name: str, declared: specs.Array, value: Any, rows: Rows = ()) -> np.ndarray:
    """A value as an array, if it is what was declared: the shape, and finite numbers that its type holds. Raises `UserError` otherwise."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # ragged, or on another device
        array = np.array(None)
    shape = (*rows, *declared.shape)
    if array.shape == shape and array.dtype.kind in ACCEPTED[declared.dtype.kind] and _in_bounds(array, declared):
        _check_finite(owner, name, array)
        return array
    expected = {"b": "True or False", "f": "one number"}.get(declared.dtype.kind if not shape else "")
    actual = _described(array, array, array) if array.dtype.kind in ACCEPTED else repr(value)[:80]
    raise UserError(
        f"{owner} declares '{name}' as {expected or _described(np.empty(shape, declared.dtype), *_bounds(declared))}, "
        f"and gives {actual}; make the two agree."
    )


def resized(images: np.ndarray, size: Size) -> np.ndarray:
    """A copy of images `[.., Y, X, C]` at a size; each pixel is the mean of those that it covers."""
    images = np.array(images, np.uint8, order="C")
    if size is None or images.shape[-3:-1] == size:
        return images
    planes = np.ascontiguousarray(rearrange(images, "... y x c -> ... c y x"))
    flat = planes.reshape(-1, *planes.shape[-2:])
    scaled = np.stack([np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BOX)) for plane in flat])
    return np.ascontiguousarray(rearrange(scaled.reshape(*planes.shape[:-2], *size), "... c y x -> ... y x c"))


def _named(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {"observation": value}


def _normalized_spec(owner: str, name: str, spec: Any, size: Size) -> specs.Array:
    if not isinstance(spec, specs.Array) or spec.dtype.kind not in ACCEPTED:
        raise UserError(f"{owner} declares '{name}' as {spec!r}, which is no array of numbers; wrap it.")
    if spec.dtype != np.uint8 or len(spec.shape) < 2:
        return specs.Array((int(np.prod(spec.shape)),), np.float32, name=name)
    if len(spec.shape) > 3:
        joined = f" as channels, {(*spec.shape[1:3], spec.shape[0] * spec.shape[3])}" if len(spec.shape) == 4 else ""
        raise UserError(
            f"{owner} declares '{name}' as uint8 of shape {spec.shape}, and an image has the axes height, width and channel: "
            f"show the newest image of a stack alone, as the latent remembers the others, or join them{joined}."
        )
    height, width, channels = _image_shape(spec)
    if len(spec.shape) == 3 and height <= 4 < channels:
        raise UserError(f"{owner} declares '{name}' as images {spec.shape} with channels first; put them last, in a wrapper.")
    return specs.BoundedArray((*(size or (height, width)), channels), np.uint8, 0, 255, name=name)


def _image_shape(spec: specs.Array) -> tuple[int, int, int]:
    height, width, channels = (*spec.shape, 1)[:3]
    return height, width, channels


def _in_bounds(array: np.ndarray, declared: specs.Array) -> bool:
    low, high = _bounds(declared)
    return low is None or bool((array >= low).all() and (array <= high).all())


def _check_finite(owner: str, name: str, array: np.ndarray) -> None:
    if array.dtype.kind != "f":
        return
    with np.errstate(over="ignore"):
        finite = np.isfinite(array.astype(np.float32, copy=False))
    if not finite.all():
        place = np.argwhere(~finite)[0].tolist()
        raise UserError(f"{owner} gives {array[tuple(place)]} in '{name}'{f' at {place}' if place else ''}, which is no finite float32.")


def _bounds(declared: specs.Array) -> tuple[Any, Any]:
    """The bounds of whole numbers; None for others, which may exceed what their environment declares."""
    if declared.dtype.kind not in "iu":
        return None, None
    if isinstance(declared, specs.BoundedArray):
        return declared.minimum, declared.maximum
    return np.iinfo(declared.dtype).min, np.iinfo(declared.dtype).max


def _described(array: np.ndarray, low: Any, high: Any) -> str:
    span = "" if low is None or not array.size else f" from {float(np.min(low)):g} to {float(np.max(high)):g}"
    return f"{array.dtype} of shape {array.shape}{span}"
