"""Whole runs, small enough for tests."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import framework
from framework.training.result import Result
from framework.training.run import Run

TINY = Path(__file__).parent / "tiny.gin"


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all runs, with no database in the place of its store: their mirrors record them, which is quick."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "mlflow.db").mkdir()
    return folder


@pytest.fixture
def tiny(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Composes the tiny recipe, with bindings, into runs that are recorded in a temporary folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def compose(*bindings: str) -> Run:
        return framework.compose(TINY, [f"Tracking.folder='{runs}'", *bindings])

    return compose


@pytest.fixture(scope="session")
def whole(runs: Path) -> Result:
    """One run to its end, for every test that only looks at what it left."""
    return framework.compose(TINY, [f"Tracking.folder='{runs}'"]).train()


@pytest.fixture
def copy(whole: Result, tmp_path: Path) -> Path:
    """That run, in a folder of the test's own, which has no store either."""
    (tmp_path / "mlflow.db").mkdir()
    return Path(shutil.copytree(whole.folder, tmp_path / "copy"))
