"""Comparison of vector steps."""

import numpy as np

from framework.vector_environments.base import VectorStep

FLAGS = ("is_first", "is_last", "is_terminal", "episode")


def assert_same(steps: VectorStep, others: VectorStep) -> None:
    """Equal to the bit."""
    for name in ("action", "reward", *FLAGS):
        np.testing.assert_array_equal(getattr(steps, name), getattr(others, name))
    assert steps.observation.keys() == others.observation.keys()
    for name, array in steps.observation.items():
        np.testing.assert_array_equal(array, others.observation[name])
