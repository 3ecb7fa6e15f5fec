"""The policy as MLflow loads it: `mlflow.pyfunc.load_model(..).predict({"image": [B, Y, X, 3]})` gives actions `[B, A]`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np


@final
class PolicyModel:
    """Acts on each row as on the first observation of an episode: no memory passes from one row or call to the next.

    To play an episode, use `framework.load_policy`, which carries its memory from step to step.
    """

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def predict(self, model_input: Mapping[str, np.ndarray], params: Mapping[str, object] | None = None) -> np.ndarray:
        self.policy.reset()
        actions: np.ndarray = self.policy.act(dict(model_input))
        return actions


def _load_pyfunc(path: str) -> PolicyModel:
    """MLflow's loader; the path is that of the checkpoint inside the model."""
    from framework import load_policy

    return PolicyModel(load_policy(Path(path)))
