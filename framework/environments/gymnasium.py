"""Any environment of Gymnasium."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, final

import dm_env
import numpy as np
from dm_env import specs
from PIL import Image

from framework import environments
from framework.environments import opengl
from framework.environments.base import Seekable
from framework.errors import UserError
from framework.registry import advice


@environments.register
@final
class Gymnasium(Seekable):
    """Any `gymnasium.make` id, its own `observation` with every named entry, the `pixels` that it renders, or both.

    Vectors and choices (one-hot) become float32 vectors; uint8 arrays of two or three axes, and what is rendered, are images of `size`,
    each pixel the mean of those below it (None: as they come). Actions may be a Box, Discrete, MultiDiscrete or MultiBinary.
    An action is held for `action_repeat` steps, whose rewards are summed. Only `terminated` has discount 0; `truncated` is a time limit.
    `arguments` are what `gymnasium.make` takes for this id, such as `{'max_episode_steps': 200}`; an id of your own needs its module too:
    `my_module:MyTask-v0`. Each episode begins with `reset(seed=..)`, its seed drawn from the run's.
    Raises `UserError` for an unknown id, a space that it cannot take, and where gymnasium or what it renders with is not installed.
    """

    derived: ClassVar[tuple[str, ...]] = ("seed",)

    def __init__(
        self,
        *,
        task: str,
        seed: int,
        observe: Literal["observation", "pixels", "both"] = "observation",
        size: int | tuple[int, int] | None = 64,
        action_repeat: int = 1,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        if action_repeat < 1:
            raise UserError(f"Gymnasium.action_repeat = {action_repeat} must be at least 1, which holds an action for one step.")
        self.action_repeat = action_repeat
        self._task, self._seed = task, seed
        self._rendered = observe != "observation"
        self._size = (size, size) if isinstance(size, int) else size
        self._environment = _make(task, dict(arguments or {}) | ({"render_mode": "rgb_array"} if self._rendered else {}))
        self._action = _action_spec(task, self._environment.action_space)
        self._shown = _entries(task, self._environment.observation_space) if observe != "pixels" else {}
        if self._rendered and "pixels" in self._shown:
            raise UserError(f"'{task}' shows 'pixels' of its own; bind Gymnasium.observe = 'observation'.")
        self._spec = {name: self._observation_spec(name, space) for name, space in self._shown.items()}
        if self._rendered:
            self._environment.reset(seed=seed)
            self._spec["pixels"] = specs.BoundedArray(self._render().shape, np.uint8, 0, 255, name="pixels")
        self._next_episode = 0
        self._over = True

    def seek(self, episode: int) -> None:
        self._next_episode = episode
        self._over = True

    def reset(self) -> dm_env.TimeStep:
        return self._show(self._restart())

    def step(self, action: Any) -> dm_env.TimeStep:
        return self.reset() if self._over else self._show(self._advance(action))

    def replay(self, episode: int, actions: Iterable[Any]) -> dm_env.TimeStep:
        """Take an episode's actions again, and render the last step alone."""
        self.seek(episode)
        time_step = self._restart()
        for action in actions:
            time_step = self._advance(action)
        return self._show(time_step)

    def observation_spec(self) -> dict[str, specs.Array]:
        return dict(self._spec)

    def action_spec(self) -> specs.Array:
        return self._action

    def close(self) -> None:
        self._over = True
        self._environment.close()

    def _restart(self) -> dm_env.TimeStep:
        entropy = np.random.SeedSequence([self._seed, self._next_episode])
        observation, _ = self._environment.reset(seed=int(entropy.generate_state(1)[0]))
        self._next_episode += 1
        self._over = False
        return dm_env.restart(observation)

    def _advance(self, action: Any) -> dm_env.TimeStep:
        native = np.asarray(action, self._action.dtype) if self._action.shape else int(action)
        total = 0.0
        for _ in range(self.action_repeat):
            observation, reward, terminated, truncated, _ = self._environment.step(native)
            total += float(reward)
            if terminated or truncated:
                break
        self._over = terminated or truncated
        kind = dm_env.StepType.LAST if self._over else dm_env.StepType.MID
        return dm_env.TimeStep(kind, total, 0.0 if terminated else 1.0, observation)

    def _show(self, time_step: dm_env.TimeStep) -> dm_env.TimeStep:
        given = time_step.observation
        named = given if isinstance(given, Mapping) else {"observation": given}
        shown = {name: self._array(space, named[name]) for name, space in self._shown.items()}
        if self._rendered:
            shown["pixels"] = self._render()
        return time_step._replace(observation=shown)

    def _observation_spec(self, name: str, space: Any) -> specs.Array:
        if not _is_image(space):
            return specs.Array((_library().spaces.flatdim(space),), np.float32, name=name)
        height, width, channels = (*space.shape, 1)[:3]
        return specs.BoundedArray((*(self._size or (height, width)), channels), np.uint8, 0, 255, name=name)

    def _array(self, space: Any, value: Any) -> np.ndarray:
        if _is_image(space):
            return _resized(np.atleast_3d(value), self._size)
        return np.array(_library().spaces.flatten(space, value), np.float32)

    def _render(self) -> np.ndarray:
        try:
            image = self._environment.render()
        except _library().error.DependencyNotInstalled as error:
            raise UserError(f"'{self._task}' cannot render ({error}); or bind Gymnasium.observe = 'observation'.") from error
        if not isinstance(image, np.ndarray) or image.ndim != 3:
            modes = self._environment.metadata.get("render_modes", [])
            raise UserError(f"'{self._task}' renders no images, but {modes or 'nothing'}; bind Gymnasium.observe = 'observation'.")
        return _resized(image, self._size)


def _make(task: str, arguments: Mapping[str, Any]) -> Any:
    gymnasium = _library()
    if "render_mode" in arguments:
        _choose_opengl()
    try:
        return gymnasium.make(task, disable_env_checker=True, **arguments)
    except gymnasium.error.UnregisteredEnv as error:
        raise UserError(f"Gymnasium has no task '{task}'{advice(task, gymnasium.registry)}.") from error
    except Exception as error:
        raise UserError(f"Gymnasium cannot make '{task}' ({type(error).__name__}: {error}).") from error


def _library() -> Any:
    try:
        import gymnasium
    except ImportError as error:
        raise UserError("gymnasium is not installed: run `pip install gymnasium`.") from error
    return gymnasium


def _choose_opengl() -> None:
    """What renders with MuJoCo reads the choice when it is first imported; what renders otherwise needs none."""
    try:
        opengl.find_opengl()
    except UserError:
        return


def _action_spec(task: str, space: Any) -> specs.Array:
    spaces = _library().spaces
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
        f"'{task}' takes actions of {space}, and an agent gives those of a Box, Discrete, MultiDiscrete or MultiBinary: "
        "register an id that wraps it."
    )


def _entries(task: str, space: Any) -> dict[str, Any]:
    """The spaces of what is shown, by name; a lone one is `observation`."""
    spaces = _library().spaces
    named = dict(space.spaces) if isinstance(space, spaces.Dict) else {"observation": space}
    for name, each in named.items():
        if not isinstance(each, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            raise UserError(
                f"'{task}' shows as '{name}' a {each}, which is no vector, image or choice: register an id that wraps it, for example "
                f"in gymnasium.wrappers.FlattenObservation, or bind Gymnasium.observe = 'pixels'."
            )
        if _is_image(each) and len(each.shape) == 3 and each.shape[0] <= 4 < each.shape[2]:
            raise UserError(f"'{task}' shows as '{name}' images {each.shape} with channels first: register an id that puts them last.")
    return named


def _is_image(space: Any) -> bool:
    return isinstance(space, _library().spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3)


def _resized(image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    if size is None or image.shape[:2] == size:
        return np.array(image, np.uint8, order="C")
    planes = [Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.BOX) for plane in np.moveaxis(image, -1, 0)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
