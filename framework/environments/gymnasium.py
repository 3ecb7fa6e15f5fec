"""Any environment of Gymnasium."""

from collections.abc import Mapping
from typing import Any, Literal, final

import dm_env
import numpy as np
from dm_env import specs

from framework import environments
from framework.environments import gymnasium_spaces, opengl
from framework.environments.actions import action_form
from framework.environments.base import SeededEpisodes
from framework.environments.observations import agreed, resized
from framework.errors import UserError


@environments.register
@final
class Gymnasium(SeededEpisodes):
    """Any `gymnasium.make` id: its own `observation` with every named entry, the `pixels` that it renders, or both.

    Vectors and choices (one-hot) become float32 vectors. uint8 arrays of two or three axes, and what is rendered, are images of `size`,
    each pixel the mean of those that it covers (None: as they come). Actions may be a Box, Discrete, MultiDiscrete or MultiBinary.
    An action is held for `action_repeat` steps, whose rewards are summed. Only `terminated` has discount 0; `truncated` is a time limit.
    `arguments` are those of `gymnasium.make` for this id, such as `{'max_episode_steps': 200}`; an id of your own needs its module too:
    `my_module:MyTask-v0`. Each episode begins with `reset(seed=..)`, its seed derived from the run's.
    Nothing is rendered before the first `reset`, except where `size` is None and only an image has the size of the pixels.
    Raises `UserError` for an unknown id, an unsupported space, and where gymnasium or its renderer is not installed.
    """

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
        super().__init__(seed=seed)
        self.action_repeat, self._name = action_repeat, f"Gymnasium.task = '{task}'"
        self._rendered = observe != "observation"
        self._size = (size, size) if isinstance(size, int) else size
        added = {"disable_env_checker": True} | ({"render_mode": "rgb_array"} if self._rendered else {})
        self._environment = gymnasium_spaces.make("Gymnasium.task", task, gymnasium_spaces.library().make, dict(arguments or {}) | added)
        self._action = gymnasium_spaces.array_spec(self._name, "action", self._environment.action_space)
        action_form(self._name, self._action)  # refuses too many options by the name of the task
        own = self._environment.observation_space
        self._form = None if observe == "pixels" else gymnasium_spaces.observation_form(self._name, own, self._size)
        if self._rendered and self._form is not None and "pixels" in self._form.spec:
            raise UserError(f"{self._name} shows 'pixels' of its own; bind Gymnasium.observe = 'observation'.")

    def observation_spec(self) -> dict[str, specs.Array]:
        spec = dict(self._form.spec) if self._form else {}
        if self._rendered:
            spec["pixels"] = specs.BoundedArray(self._pixels_shape(), np.uint8, 0, 255, name="pixels")
        return spec

    def action_spec(self) -> specs.Array:
        return self._action

    def close(self) -> None:
        self._environment.close()

    def _restart(self, entropy: np.random.SeedSequence) -> dm_env.TimeStep:
        answer = self._environment.reset(seed=int(entropy.generate_state(1)[0]))
        return dm_env.restart(gymnasium_spaces.first_observation(self._name, answer))

    def _simulate(self, action: Any) -> dm_env.TimeStep:
        discrete = isinstance(self._environment.action_space, gymnasium_spaces.library().spaces.Discrete)
        native = int(action) if discrete else np.asarray(action, self._action.dtype)
        total = 0.0
        for _ in range(self.action_repeat):
            answer = self._environment.step(native)
            observation, reward, terminated, truncated = gymnasium_spaces.outcome(self._name, answer)
            total += float(reward)
            if terminated or truncated:
                break
        kind = dm_env.StepType.LAST if terminated or truncated else dm_env.StepType.MID
        return dm_env.TimeStep(kind, total, 0.0 if terminated else 1.0, observation)

    def _observe(self, observation: Any) -> dict[str, np.ndarray]:
        named = self._form.normalize(observation) if self._form else {}
        return named | {"pixels": self._render()} if self._rendered else named

    def _pixels_shape(self) -> tuple[int, ...]:
        if self._size is not None:
            return (*self._size, 3)
        if self._over:  # the first episode is begun to be rendered, and begun again by `reset`
            self._environment.reset(seed=self._seed)
        return self._render().shape

    def _render(self) -> np.ndarray:
        opengl.prefer_opengl()
        try:
            image = self._environment.render()
        except gymnasium_spaces.library().error.DependencyNotInstalled as error:
            raise UserError(f"{self._name} cannot render ({error}); or bind Gymnasium.observe = 'observation'.") from error
        if not isinstance(image, np.ndarray) or image.ndim != 3:
            modes = self._environment.metadata.get("render_modes", [])
            raise UserError(f"{self._name} renders no images, but {modes or 'nothing'}; bind Gymnasium.observe = 'observation'.")
        return resized(agreed(self._name, "pixels", specs.Array(image.shape, np.uint8), image), self._size)
