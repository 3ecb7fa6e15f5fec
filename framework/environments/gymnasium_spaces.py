"""Gymnasium's spaces as dm_env specs, and values of those spaces as named float32 vectors and uint8 images."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from dm_env import specs
from PIL import Image

from framework.errors import UserError
from framework.registry import advice

Size = tuple[int, int] | None
"""The height and width of images; None keeps their own."""


def library() -> Any:
    """The package `gymnasium`. Raises `UserError` where it is not installed."""
    try:
        import gymnasium
    except ImportError as error:
        raise UserError("gymnasium is not installed: run `pip install gymnasium`.") from error
    return gymnasium


def make(setting: str, task: str, construct: Callable[..., Any], arguments: Mapping[str, Any], remedy: str = "") -> Any:
    """`construct(task, **arguments)`. Raises `UserError` for an unknown id, and for whatever else Gymnasium refuses."""
    try:
        return construct(task, **arguments)
    except library().error.UnregisteredEnv as error:
        raise UserError(f"{setting}: Gymnasium has no task '{task}'{advice(task, library().registry)}.") from error
    except Exception as error:
        raise UserError(f"{setting}: Gymnasium cannot make '{task}' ({type(error).__name__}: {error}){remedy}.") from error


def action_spec(task: str, space: Any) -> specs.Array:
    """The spec of a task's action. Raises `UserError` for a space of another kind than the four."""
    spaces = library().spaces
    match space:
        case spaces.Box():
            return specs.BoundedArray(space.shape, space.dtype, space.low, space.high, name="action")
        case spaces.Discrete():
            return specs.BoundedArray((), np.int64, space.start, space.start + space.n - 1, name="action")
        case spaces.MultiDiscrete():
            return specs.BoundedArray(space.shape, space.dtype, space.start, space.start + space.nvec - 1, name="action")
        case spaces.MultiBinary():
            return specs.BoundedArray(space.shape, space.dtype, 0, 1, name="action")
    raise UserError(
        f"'{task}' takes actions of {space}, and an agent those of a Box, Discrete, MultiDiscrete or MultiBinary: "
        "register an id that wraps it."
    )


def entries(task: str, space: Any) -> dict[str, Any]:
    """The spaces of a task's observation by name; a lone one is `observation`. Raises `UserError` for a space of another kind."""
    spaces = library().spaces
    named = dict(space.spaces) if isinstance(space, spaces.Dict) else {"observation": space}
    for name, entry in named.items():
        if not isinstance(entry, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            raise UserError(
                f"'{task}' shows as '{name}' a {entry}, which is no vector, image or choice: register an id that wraps it, for example "
                f"in gymnasium.wrappers.FlattenObservation, or bind Gymnasium.observe = 'pixels'."
            )
        if is_image(entry) and len(entry.shape) == 3 and entry.shape[0] <= 4 < entry.shape[2]:
            raise UserError(f"'{task}' shows as '{name}' images {entry.shape} with channels first: register an id that puts them last.")
    return named


def is_image(space: Any) -> bool:
    """Whether a space holds images: a uint8 Box of two or three axes."""
    return isinstance(space, library().spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3)


def entry_spec(name: str, space: Any, size: Size) -> specs.Array:
    """The spec of one entry: a uint8 image of `size`, or a float32 vector in which a choice is one-hot."""
    if not is_image(space):
        return specs.Array((library().spaces.flatdim(space),), np.float32, name=name)
    height, width, channels = (*space.shape, 1)[:3]
    return specs.BoundedArray((*(size or (height, width)), channels), np.uint8, 0, 255, name=name)


def entry_array(space: Any, value: Any, size: Size) -> np.ndarray:
    """A copy of a value of one entry, as its spec has it."""
    if is_image(space):
        return resized(np.atleast_3d(value), size)
    return np.array(library().spaces.flatten(space, value), np.float32)


def resized(image: np.ndarray, size: Size) -> np.ndarray:
    """A copy of an image at a size; each pixel is the mean of those that it covers."""
    if size is None or image.shape[:2] == size:
        return np.array(image, np.uint8, order="C")
    planes = [Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.BOX) for plane in np.moveaxis(image, -1, 0)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
