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
        return np.stack([observation["speed"].sum(1), np.full(3, self.acted)], 1)


def test_every_row_is_the_first_observation_of_an_episode() -> None:
    model, rows = PolicyModel(Counting()), {"speed": np.arange(6, dtype=np.float32).reshape(3, 2)}
    assert model.predict(rows).tolist() == [[1, 1], [5, 1], [9, 1]]
    actions = model.predict(rows)
    assert actions.tolist() == [[1, 1], [5, 1], [9, 1]]
