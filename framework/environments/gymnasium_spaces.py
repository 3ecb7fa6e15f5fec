"""What `Gymnasium` and `BatchedGymnasium` share: construction, spaces as dm_env specs, and the outcome of a step."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from dm_env import specs

from framework.environments.observations import FLAG, REWARD, ObservationForm, Rows, Size, agreed
from framework.errors import UserError
from framework.registry import advice


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


def array_spec(owner: str, name: str, space: Any) -> specs.BoundedArray:
    """The dm_env spec of an action or of an entry of the observation. Raises `UserError` for a space of another kind than the four."""
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
    raise UserError(
        f"{owner} declares '{name}' as {space}, and an agent takes a Box, Discrete, MultiDiscrete or MultiBinary: register an id that "
        "wraps it, an observation for example in gymnasium.wrappers.FlattenObservation."
    )


def observation_form(owner: str, space: Any, size: Size) -> ObservationForm:
    """The entries of an observation space as vectors, in which choices are one-hot, and images of a size."""
    spaces = library().spaces
    named = dict(space.spaces) if isinstance(space, spaces.Dict) else {"observation": space}
    choices = [name for name, entry in named.items() if isinstance(entry, spaces.Discrete | spaces.MultiDiscrete)]
    return ObservationForm(owner, {name: array_spec(owner, name, entry) for name, entry in named.items()}, choices, size)


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
