"""Fixtures of all tests. One thread, so that times and numbers are the same on every machine."""

import os
from pathlib import Path
from tempfile import mkdtemp

import pytest
import torch
from filelock import FileLock

torch.set_num_threads(1)
os.environ["XDG_DATA_HOME"] = mkdtemp(prefix="dream-tests-")  # what these tests train is not entered as the user's own
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the summaries that tests recorded, from every worker."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "summary":
                terminalreporter.write_line(str(value))


@pytest.fixture(autouse=True)
def global_generator_is_left_alone():
    """Each test starts from one state of torch's global generator, which initializations alone draw from, and leaves it as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with MLflow's tables and one experiment, which tests copy, since making the tables takes seconds."""
    from framework.tracking.mlflow import MLflow
    from framework.tracking.store import local_uri

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tables"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "made.lock"):  # one worker makes them for all
        if not (folder / "mlflow.db").exists():
            MLflow(uri=local_uri(folder), experiment="tables", name="tables").close("FINISHED")
    return folder / "mlflow.db"
