"""A small run whose files are damaged."""

from pathlib import Path

import pytest

import framework
from tests.cli.calls import TINY


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of 100 steps with two checkpoints, recorded by its mirror alone."""
    folder = tmp_path_factory.mktemp("fuzz") / "runs"
    (folder / "mlflow.db").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return framework.compose(TINY, [f"Tracking.folder='{folder}'", "Evaluation.every=40"]).train().folder
