import numpy as np

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
