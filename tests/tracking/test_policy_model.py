import numpy as np

from framework.tracking.policy_model import PolicyModel


class Counting:
    """A policy that remembers how often it acted since the last reset."""

    def __init__(self) -> None:
        self.acted = 0

    def reset(self) -> None:
        self.acted = 0

    def act(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        self.acted += 1
        return np.array([observation["speed"].sum(), self.acted], np.float32)


def test_every_row_is_the_first_observation_of_an_episode() -> None:
    actions = PolicyModel(Counting()).predict({"speed": np.arange(6, dtype=np.float32).reshape(3, 2)})
    assert actions.tolist() == [[1, 1], [5, 1], [9, 1]]
