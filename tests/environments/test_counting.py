import numpy as np
import pytest
from dm_env import StepType

from framework.environments.counting import Counting


def test_its_observations_and_rewards_are_functions_of_the_step():
    environment = Counting(seed=3, length=300, size=4)
    time_step = environment.reset()
    for count in range(301):
        assert time_step.observation["count"] == count
        assert (time_step.observation["pixels"] == [count % 256, count // 256, 3]).all()
        assert time_step.reward == (count if count else None)
        time_step = environment.step(np.zeros(2, np.float32))
    assert time_step.first()
    assert (time_step.observation["pixels"] == [0, 0, 4]).all()
    assert (environment.replay(7, [np.zeros(2)] * 3).observation["pixels"] == [3, 0, 10]).all()


@pytest.mark.parametrize(("ending", "discount"), [("time_limit", 1.0), ("termination", 0.0)])
def test_it_ends_by_a_time_limit_or_a_termination(ending, discount):
    environment = Counting(seed=0, length=2, ending=ending)
    steps = [environment.reset(), *(environment.step(np.zeros(2)) for _ in range(3))]
    assert [step.step_type for step in steps] == [StepType.FIRST, StepType.MID, StepType.LAST, StepType.FIRST]
    assert [step.discount for step in steps] == [None, 1.0, discount, None]
