"""Folders to call the command in: an empty one, and one that has a run."""

import shutil
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.calls import TINY, Call, call_dream


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls the command in an empty folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return call_dream


@pytest.fixture(scope="session")
def trained(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A folder in which one tiny run was trained, and what the command said."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "runs").mkdir()
    shutil.copy(tables, folder / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(folder)
        return folder, call_dream("train", TINY, "--seed", 3, "--name", "small")


@pytest.fixture
def after(trained: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls the command in the folder of the tiny run."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(trained[0])
    return call_dream
