"""The policy as MLflow loads it: `mlflow.pyfunc.load_model(..).predict({"image": [B, Y, X, 3]})` gives actions `[B, A]`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np


@final
class PolicyModel:
    """Acts on each row as on the first observation of an episode: nothing is remembered from one row or call to the next.

    To play an episode, use `framework.load_policy`, which remembers.
    """

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def predict(self, model_input: Mapping[str, np.ndarray], params: Mapping[str, object] | None = None) -> np.ndarray:
        size = len(next(iter(model_input.values())))
        return np.stack([self._first({name: rows[row] for name, rows in model_input.items()}) for row in range(size)])

    def _first(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        self.policy.reset()
        action: np.ndarray = self.policy.act(observation)
        return action


def _load_pyfunc(path: str) -> PolicyModel:
    """What MLflow calls. The path is the checkpoint, which lies in the model as it was."""
    from framework import load_policy

    return PolicyModel(load_policy(Path(path)))
