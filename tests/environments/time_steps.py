"""Comparison of dm_env time steps."""

import dm_env
import numpy as np


def assert_same(steps: list[dm_env.TimeStep], others: list[dm_env.TimeStep]) -> None:
    """Equal to the bit."""
    assert len(steps) == len(others) > 0
    for step, other in zip(steps, others, strict=True):
        assert (step.step_type, step.reward, step.discount) == (other.step_type, other.reward, other.discount)
        assert step.observation.keys() == other.observation.keys()
        for name, array in step.observation.items():
            np.testing.assert_array_equal(array, other.observation[name])
