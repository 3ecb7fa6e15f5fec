"""Simulators of Gymnasium that step many environments at once."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, final

import numpy as np

from framework import vector_environments
from framework.data import Factory
from framework.environments import gymnasium_spaces
from framework.environments.actions import action_form
from framework.environments.base import Environment
from framework.environments.server import describe
from framework.errors import UserError
from framework.specs import Specs
from framework.vector_environments.base import VectorEnvironment, VectorStep


@vector_environments.register
@final
class BatchedGymnasium(VectorEnvironment):
    """One simulator for all environments: `gymnasium.make_vec` with the `vector_entry_point` of the id.

    `task`, `arguments` and `size` are those of `Gymnasium`. An action is held for one step. The simulator's autoreset mode is NEXT_STEP,
    where the step after an end resets, or DISABLED, where that step is discarded and `reset(options={'reset_mask': ..})` follows.
    SAME_STEP is refused: it gives the last observation of an episode and the first of the next in one step, and a row holds one.
    Batched simulators cannot seek, so that a resumed run begins new episodes. Evaluation plays `environment`, the run's single one.
    Raises `UserError` for an id without a batched simulator, and where its specs are not those of `environment`.
    """

    def __init__(
        self,
        *,
        environment: Factory[Environment],
        count: int,
        seed: int,
        task: str,
        size: int | tuple[int, int] | None = 64,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self._seed, self._name = seed, f"BatchedGymnasium.task = '{task}'"
        size = (size, size) if isinstance(size, int) else size
        self._make = partial(
            gymnasium_spaces.make,
            "BatchedGymnasium.task",
            task,
            gymnasium_spaces.library().make_vec,
            {"num_envs": count, "vectorization_mode": "vector_entry_point"} | dict(arguments or {}),
            remedy="; bind Run.vector = None to step it in worker processes",
        )
        self._simulator = self._make()
        try:
            self._mask_resets = _mask_resets(self._name, self._simulator)
            self._form = gymnasium_spaces.observation_form(self._name, self._simulator.single_observation_space, size)
            native = gymnasium_spaces.array_spec(self._name, "action", self._simulator.single_action_space)
            self._action = action_form(self._name, native)
            super().__init__(specs=Specs(observation=self._form.spec, action=self._action.spec), count=count)
            _check_environment(environment, self.specs)
        except BaseException:
            self.close()
            raise
        self._ended = np.zeros(count, bool)

    def _reset(self) -> VectorStep:
        """The simulator's seed derives from the run's and the episodes so far."""
        entropy = np.random.SeedSequence([self._seed, int((self._episodes + 1).sum())])
        answer = self._simulator.reset(seed=int(entropy.generate_state(1)[0]))
        observation = gymnasium_spaces.first_observation(self._name, answer)
        actions = np.zeros((self.count, self.specs.action_size), np.float32)
        none = np.zeros(self.count, bool)
        return self._row(observation, 0.0, none, none, is_first=~none, actions=actions)

    def _finish(self, actions: np.ndarray) -> VectorStep:
        is_first = self._ended.copy()
        answer = self._simulator.step(self._action.native(actions))
        observation, reward, terminated, truncated = gymnasium_spaces.outcome(self._name, answer, (self.count,))
        if self._mask_resets and is_first.any():
            observation = gymnasium_spaces.first_observation(self._name, self._simulator.reset(options={"reset_mask": is_first}))
        return self._row(observation, reward, terminated, truncated, is_first=is_first, actions=actions)

    def _recover(self) -> VectorStep:
        """All environments are of one simulator, and begin new episodes in a fresh one."""
        with suppress(Exception):
            self._simulator.close()
        self._simulator = self._make()
        return self._reset()

    def _row(
        self, observation: Any, reward: Any, terminated: np.ndarray, truncated: np.ndarray, *, is_first: np.ndarray, actions: np.ndarray
    ) -> VectorStep:
        """The step with these outcomes. Where `is_first` the observation alone counts."""
        is_terminal, is_truncated = terminated & ~is_first, truncated & ~is_first
        self._ended = is_terminal | is_truncated
        self._episodes += is_first
        return VectorStep(
            observation=self._form.normalize(observation, (self.count,)),
            action=np.where(is_first[:, None], np.float32(0), actions),
            reward=np.where(is_first, 0, reward).astype(np.float32),
            is_first=is_first,
            is_last=self._ended,
            is_terminal=is_terminal,
            episode=self._episodes.copy(),
        )

    def close(self) -> None:
        self._simulator.close()


def _mask_resets(owner: str, simulator: Any) -> bool:
    """Whether ended environments are reset by a mask; otherwise the simulator resets them at the next step."""
    modes = gymnasium_spaces.library().vector.AutoresetMode
    mode = simulator.metadata.get("autoreset_mode")
    if mode not in (modes.NEXT_STEP, modes.DISABLED):
        raise UserError(
            f"{owner} has the autoreset mode {mode}, and a row of a batch holds either the last observation of an "
            "episode or the first of the next; choose NEXT_STEP or DISABLED in BatchedGymnasium.arguments or in an id of your own."
        )
    return bool(mode == modes.DISABLED)


def _check_environment(environment: Callable[..., Environment], batched: Specs) -> None:
    """Refuse a single environment that has other specs than the batched one, or repeats actions."""
    description = describe(environment)
    single = Specs(observation=description.observation, action=description.action)
    shapes, batched_shapes = ({name: spec.shape for name, spec in each.observation.items()} for each in (single, batched))
    if shapes != batched_shapes or single.model_action != batched.model_action:
        raise UserError(
            f"Run.environment shows {shapes} and takes {single.model_action}, and BatchedGymnasium shows {batched_shapes} and takes "
            f"{batched.model_action}; bind the same task in both."
        )
    if description.action_repeat != 1:
        raise UserError(f"Run.environment repeats each action {description.action_repeat} times, and BatchedGymnasium none; bind 1.")
