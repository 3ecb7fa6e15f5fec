"""What `Gymnasium` and `BatchedGymnasium` share: construction, spaces as dm_env specs, and the outcome of a step."""

from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
from dm_env import specs
from einops import rearrange
from PIL import Image

from framework.environments.actions import action_form
from framework.environments.observations import FLAG, REWARD, ObservationForm, Rows, agreed
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


def make(owner: str, task: str, construct: Callable[..., Any], arguments: Mapping[str, Any], remedy: str = "") -> Any:
    """`construct(task, **arguments)`. Raises `UserError` for an unknown id, and for whatever else Gymnasium refuses."""
    try:
        return construct(task, **arguments)
    except library().error.UnregisteredEnv as error:
        own = f" An id of your own names the module that registers it, 'my_module:{task}', so that workers import it too."
        raise UserError(f"{owner}: Gymnasium has no task '{task}'{advice(task, library().registry)}.{own}") from error
    except Exception as error:
        raise UserError(f"{owner}: Gymnasium cannot make '{task}' ({type(error).__name__}: {error}){remedy}.") from error


def array_spec(space: Any) -> specs.BoundedArray | None:
    """The dm_env spec of a Box, Discrete, MultiDiscrete or MultiBinary space, else None."""
    spaces = library().spaces
    match space:
        case spaces.Box():
            return specs.BoundedArray(space.shape, space.dtype, space.low, space.high)
        case spaces.Discrete():
            return specs.BoundedArray((), space.dtype, space.start, space.start + space.n - 1)
        case spaces.MultiDiscrete():
            return specs.BoundedArray(space.shape, space.dtype, space.start, space.start + space.nvec - 1)
        case spaces.MultiBinary():
            return specs.BoundedArray(space.shape, space.dtype, 0, 1)
    return None


def action_spec(owner: str, space: Any) -> specs.BoundedArray:
    """The spec of a task's action. Raises `UserError` for a space of another kind than the four, and for too many options."""
    spec = array_spec(space)
    if spec is None:
        raise UserError(
            f"{owner} takes actions of {space}, and an agent gives those of a Box, Discrete, MultiDiscrete or MultiBinary: "
            "register an id that wraps it."
        )
    action_form(owner, spec)
    return spec


@final
class SpaceForm:
    """Named float32 vectors, in which a choice is one-hot, and uint8 images of a `size` from the values of an observation space."""

    def __init__(self, *, owner: str, space: Any, size: Size) -> None:
        spaces = library().spaces
        named = dict(space.spaces) if isinstance(space, spaces.Dict) else {"observation": space}
        choices = [name for name, entry in named.items() if isinstance(entry, spaces.Discrete | spaces.MultiDiscrete)]
        native = {name: _entry_spec(owner, name, entry) for name, entry in named.items()}
        self._form, self._size = ObservationForm(owner, native, choices), size
        self.spec = {name: _resized_spec(spec, size) for name, spec in self._form.spec.items()}

    def normalize(self, value: Any, rows: Rows = ()) -> dict[str, np.ndarray]:
        """Copies of the entries, `[*rows, ..]`. Raises `UserError` where they are not what the space declares."""
        return {
            name: resized(array, self._size) if array.dtype == np.uint8 else array
            for name, array in self._form.normalize(value, rows).items()
        }


def _resized_spec(spec: specs.Array, size: Size) -> specs.Array:
    return spec.replace(shape=(*size, spec.shape[2])) if size and spec.dtype == np.uint8 else spec


def _entry_spec(owner: str, name: str, space: Any) -> specs.BoundedArray:
    spec = array_spec(space)
    if spec is None:
        raise UserError(
            f"{owner} shows as '{name}' a {space}, which is no vector, image or choice: register an id that wraps it, for example in "
            "gymnasium.wrappers.FlattenObservation, or bind Gymnasium.observe = 'pixels'."
        )
    return spec


def first_observation(owner: str, answer: Any) -> Any:
    """The observation of a `reset`, as it is."""
    return _parts(owner, answer, "reset", "observation, info")[0]


def outcome(owner: str, answer: Any, rows: Rows = ()) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """Of a `step`, the observation as it is, and reward, terminated and truncated `[*rows]` as they must be."""
    observation, reward, terminated, truncated, _ = _parts(owner, answer, "step", "observation, reward, terminated, truncated, info")
    flags = (agreed(owner, name, FLAG, flag, rows) for name, flag in (("terminated", terminated), ("truncated", truncated)))
    return observation, agreed(owner, "reward", REWARD, reward, rows), *flags


def _parts(owner: str, answer: Any, method: str, names: str) -> tuple[Any, ...]:
    if not isinstance(answer, tuple) or len(answer) != len(names.split()):
        raise UserError(f"{owner} must give `{names}` from `{method}`, and gives {str(answer)[:80]}.")
    return answer


def resized(images: np.ndarray, size: Size) -> np.ndarray:
    """Images `[.., Y, X, C]` at a size; each pixel is the mean of those that it covers."""
    if size is None or images.shape[-3:-1] == size:
        return images
    planes = np.ascontiguousarray(rearrange(images, "... y x c -> ... c y x"))
    scaled = [
        np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BOX)) for plane in planes.reshape(-1, *planes.shape[-2:])
    ]
    return np.moveaxis(np.stack(scaled).reshape(*planes.shape[:-2], *size), -3, -1).copy()
