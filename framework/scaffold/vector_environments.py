"""A vector environment of your own: environments that step one after another in this process."""

from typing import final

import dm_env
import numpy as np

from framework import vector_environments
from framework.data import Factory
from framework.environments.actions import action_form
from framework.environments.base import Environment
from framework.specs import Specs
from framework.vector_environments.base import VectorEnvironment, VectorStep


@final
@vector_environments.register
class MyComponent(VectorEnvironment):
    """Steps `count` environments in a loop. A simulator of many at once has its own step in `_finish`, as `BatchedGymnasium` has.

    It cannot seek: a resumed run begins new episodes.
    """

    def __init__(self, *, environment: Factory[Environment], count: int, seed: int) -> None:
        seeds = np.random.SeedSequence(seed).generate_state(count)
        self._environments = [environment(seed=int(each)) for each in seeds]
        first, *_ = self._environments
        self._form = action_form("MyComponent", first.action_spec())
        super().__init__(specs=Specs(observation=first.observation_spec(), action=self._form.spec), count=count)

    def _reset(self) -> VectorStep:
        return self._joined([each.reset() for each in self._environments], np.zeros((self.count, self.specs.action_size), np.float32))

    def _finish(self, actions: np.ndarray) -> VectorStep:
        return self._joined(
            [each.step(self._form.native(action)) for each, action in zip(self._environments, actions, strict=True)], actions
        )

    def _joined(self, steps: list[dm_env.TimeStep], actions: np.ndarray) -> VectorStep:
        """One row for each environment. The step after the last one of an episode is the first of the next, and its action is ignored."""
        is_first, is_last = (np.array([getattr(step, name)() for step in steps]) for name in ("first", "last"))
        self._episodes += is_first
        return VectorStep(
            observation={name: np.stack([step.observation[name] for step in steps]) for name in self.specs.observation},
            action=np.where(is_first[:, None], np.float32(0), actions),
            reward=np.array([step.reward or 0.0 for step in steps], np.float32),
            is_first=is_first,
            is_last=is_last,
            is_terminal=np.array([step.last() and step.discount == 0.0 for step in steps]),
            episode=self._episodes.copy(),
        )

    def close(self) -> None:
        for each in self._environments:
            each.close()
