"""The DeepMind control suite."""

from typing import Any, Literal, final

import dm_env
import numpy as np
from dm_env import specs

from framework import environments
from framework.environments import opengl
from framework.environments.actions import ActionScale
from framework.environments.base import SeededEpisodes
from framework.environments.observations import ObservationForm
from framework.environments.rendering import Quality, Renderer
from framework.environments.staging import Scenic, Staging
from framework.errors import UserError
from framework.registry import advice


@environments.register
@final
class DMControl(SeededEpisodes, Scenic):
    """Any task of the control suite, from `pixels` (uint8 `[height, width, channel]`), from its named float32 vectors, or both.

    An action in [-1, 1] is held for `action_repeat` control steps, whose rewards are summed; the end of an episode cuts the last
    one short. Most tasks run for 1,000 control steps and end by time alone (discount 1); only `lqr` terminates (discount 0).
    `camera` is an index or a name, by default the one that Dreamer used: 2 for the quadruped, 0 elsewhere. Nothing is rendered before
    the first `reset`. Raises `UserError` for an unknown task or camera, and at the first image where no OpenGL renders.
    Source: Tassa et al. 2018, arXiv 1801.00690; pixels and repeats as in Hafner et al. 2020, arXiv 1912.01603.
    """

    def __init__(
        self,
        *,
        task: str,
        seed: int,
        observe: Literal["pixels", "proprioception", "both"] = "pixels",
        size: int | tuple[int, int] = 64,
        camera: int | str | None = None,
        action_repeat: int = 2,
        quality: Quality = "exact",
        supersampling: int = 1,
    ) -> None:
        if action_repeat < 1:
            raise UserError(f"DMControl.action_repeat = {action_repeat} must be at least 1, which holds an action for one step.")
        super().__init__(seed=seed)
        self.action_repeat = action_repeat
        self._suite = _load(task, seed)
        self._form = None if observe == "pixels" else ObservationForm(task, self._suite.observation_spec())
        self._scale = ActionScale(self._suite.action_spec())
        self._size = (size, size) if isinstance(size, int) else size
        self._renderer: Renderer | None = None
        if observe != "proprioception":
            physics = self._suite.physics
            if camera is None:
                camera = 2 if task.startswith("quadruped") else 0
            self._renderer = Renderer(physics=physics, size=self._size, camera=camera, quality=quality, supersampling=supersampling)

    def observation_spec(self) -> dict[str, specs.Array]:
        spec = dict(self._form.spec) if self._form else {}
        if self._renderer is not None:
            spec["pixels"] = specs.BoundedArray((*self._size, 3), np.uint8, 0, 255, name="pixels")
        return spec

    def action_spec(self) -> specs.BoundedArray:
        return self._scale.spec

    @property
    def colors(self) -> np.ndarray:
        return np.array(self._suite.physics.model.mat_rgba[:, :3], np.float64)

    def stage(self, staging: Staging) -> None:
        if self._renderer is not None:
            self._renderer.stage(staging)

    def close(self) -> None:
        self._suite.physics.free()

    def _restart(self, entropy: np.random.SeedSequence) -> dm_env.TimeStep:
        self._suite.task.random.seed(entropy.generate_state(8))
        return self._suite.reset()

    def _simulate(self, action: np.ndarray) -> dm_env.TimeStep:
        control = self._scale.native(action)
        reward = 0.0
        for _ in range(self.action_repeat):
            time_step = self._suite.step(control)
            reward += float(time_step.reward)
            if time_step.last():
                break
        return time_step._replace(reward=reward)

    def _observe(self, observation: Any) -> dict[str, np.ndarray]:
        named = self._form.normalize(observation) if self._form else {}
        return named if self._renderer is None else named | {"pixels": self._renderer.image()}


def _load(task: str, seed: int) -> Any:
    """A task of the suite by domain and name, such as `cartpole_swingup`; `cup_catch` is an alias."""
    suite = opengl.import_suite()
    tasks = {f"{domain}_{name}": (domain, name) for domain, name in suite.ALL_TASKS} | {"cup_catch": ("ball_in_cup", "catch")}
    if task not in tasks:
        raise UserError(f"DMControl.task: the control suite has no task '{task}'{advice(task, tasks)}.")
    # Random parts of a task's model, such as the springs of `lqr`, follow the seed too.
    first = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return suite.load(*tasks[task], task_kwargs={"random": first})
