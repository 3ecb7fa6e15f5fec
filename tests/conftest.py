"""What all tests share: one thread, so that times and numbers are the same on every machine, and nobody's global generator."""

import os
from pathlib import Path

import pytest
import torch
from filelock import FileLock

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a test has to say, from whichever worker."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "said":
                terminalreporter.write_line(str(value))


@pytest.fixture(autouse=True)
def global_generator_is_left_alone():
    """A component that draws from torch's global generator could not be resumed exactly: drawing is the caller's.

    Initialization is the one exception, and tests that build something begin from the same numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with MLflow's tables and nothing in them but the experiment of a run: making them takes seconds, a copy none."""
    from framework.tracking.mlflow import MLflow
    from framework.tracking.store import local_uri

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tables"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "made.lock"):  # one worker makes them for all
        if not (folder / "mlflow.db").exists():
            MLflow(uri=local_uri(folder), folder=folder, experiment="tables", name="tables").close("FINISHED")
    return folder / "mlflow.db"
