"""The DeepMind control suite."""

import os
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, final

import dm_env
import numpy as np
from dm_env import specs

from framework import environments
from framework.environments import normalization, opengl
from framework.environments.rendering import Quality, Renderer
from framework.environments.staging import Scenic, Staging
from framework.errors import UserError
from framework.registry import advice


@environments.register
@final
class DMControl(Scenic):
    """Any task of the control suite, from `pixels` (uint8 `[height, width, channel]`), from its named float32 vectors, or both.

    An action in [-1, 1] is held for `action_repeat` control steps, whose rewards are summed; an episode's end cuts the last
    one short. Most tasks run for 1,000 control steps and end by time alone (discount 1); only `lqr` terminates (discount 0).
    `camera` is an index or a name, by default the one that Dreamer used: 2 for the quadruped, 0 elsewhere.
    Raises `UserError` for an unknown task or camera, and where pixels are wanted and nothing renders.
    Source: Tassa et al. 2018, arXiv 1801.00690; pixels and repeats as in Hafner et al. 2020, arXiv 1912.01603.
    """

    derived: ClassVar[tuple[str, ...]] = ("seed",)

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
        self.action_repeat = action_repeat
        _choose_opengl(required=observe != "proprioception")
        self._suite = _load(task, seed)
        self._seed = seed
        self._next_episode = 0
        self._over = True
        self._vectors = observe != "pixels"
        self._scale = normalization.ActionScale.of(self._suite.action_spec())
        self._size = (size, size) if isinstance(size, int) else size
        self._renderer: Renderer | None = None
        if observe != "proprioception":
            chosen = camera if camera is not None else 2 if task.startswith("quadruped") else 0
            self._renderer = Renderer(
                physics=self._suite.physics, size=self._size, camera=chosen, quality=quality, supersampling=supersampling
            )

    def seek(self, episode: int) -> None:
        self._next_episode = episode
        self._over = True

    def reset(self) -> dm_env.TimeStep:
        return self._show(self._restart())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        return self.reset() if self._over else self._show(self._advance(action))

    def replay(self, episode: int, actions: Iterable[np.ndarray]) -> dm_env.TimeStep:
        """Take an episode's actions again, and render the last step alone."""
        self.seek(episode)
        time_step = self._restart()
        for action in actions:
            time_step = self._advance(action)
        return self._show(time_step)

    def observation_spec(self) -> dict[str, specs.Array]:
        shown = normalization.observation_spec(self._suite.observation_spec()) if self._vectors else {}
        if self._renderer is not None:
            shown["pixels"] = specs.BoundedArray((*self._size, 3), np.uint8, 0, 255, name="pixels")
        return shown

    def action_spec(self) -> specs.BoundedArray:
        return self._scale.spec

    @property
    def colors(self) -> np.ndarray:
        return np.array(self._suite.physics.model.mat_rgba[:, :3], np.float64)

    def stage(self, staging: Staging) -> None:
        if self._renderer is not None:
            self._renderer.stage(staging)

    def close(self) -> None:
        self._over = True
        self._suite.physics.free()

    def _restart(self) -> dm_env.TimeStep:
        entropy = np.random.SeedSequence([self._seed, self._next_episode])
        self._suite.task.random.seed(entropy.generate_state(8))
        self._next_episode += 1
        self._over = False
        return self._suite.reset()

    def _advance(self, action: np.ndarray) -> dm_env.TimeStep:
        control = self._scale.native(action)
        reward = 0.0
        for _ in range(self.action_repeat):
            time_step = self._suite.step(control)
            reward += float(time_step.reward)
            if time_step.last():
                break
        self._over = time_step.last()
        return time_step._replace(reward=reward)

    def _show(self, time_step: dm_env.TimeStep) -> dm_env.TimeStep:
        shown = normalization.observation(time_step.observation) if self._vectors else {}
        if self._renderer is not None:
            shown["pixels"] = self._renderer.image()
        return time_step._replace(observation=shown)


def tasks() -> dict[str, tuple[str, str]]:
    """Every task of the suite, `cartpole_swingup` and so on, with its domain and its name there; `cup_catch` is an alias."""
    suite = _suite()
    named = {f"{domain}_{name}": (domain, name) for domain, name in suite.ALL_TASKS}
    return named | {"cup_catch": ("ball_in_cup", "catch")}


def _load(task: str, seed: int) -> Any:
    known = tasks()
    if task not in known:
        raise UserError(f"There is no task named '{task}'{advice(task, known)}.")
    domain, name = known[task]
    # What a task draws when it is made, such as the springs of `lqr`, follows the seed too.
    first = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return _suite().load(domain, name, task_kwargs={"random": first})


def _suite() -> Any:
    try:
        from dm_control import suite
    except Exception as error:
        raise opengl.broken(error) from error
    return suite


def _choose_opengl(required: bool) -> None:
    """Decide how MuJoCo renders before its first import; without pixels, it may also not render at all."""
    try:
        opengl.find_opengl()
    except UserError:
        if required:
            raise
        os.environ[opengl.VARIABLE] = "disabled"
