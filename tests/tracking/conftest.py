"""A real sqlite store for each test, whose tables are copied."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.tracking.store import local_uri


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRACKING_URI", "EXPERIMENT_NAME", "EXPERIMENT_ID", "RUN_NAME", "RUN_ID", "RUN_CONTEXT"):
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)


@pytest.fixture
def folder(tables: Path, tmp_path: Path) -> Path:
    """A folder for runs, with a store that is ready."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(tables, folder / "mlflow.db")
    return folder


@pytest.fixture
def client(folder: Path) -> Any:
    """MLflow's own client of that store: what a test reads back, it reads with this."""
    from mlflow import MlflowClient

    return MlflowClient(local_uri(folder), registry_uri=local_uri(folder))


class Server:
    """MLflow's real server over a store of its own, in a thread; it can be stopped and started again."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.port = 0
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    def start(self) -> None:
        from werkzeug.serving import make_server

        self._server = make_server("127.0.0.1", self.port, self.application, threaded=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="session")
def server(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(tables, folder / "mlflow.db")
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = local_uri(folder)
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = "mlflow-artifacts:/"
    os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = str(folder / "artifacts")
    os.environ["_MLFLOW_SERVER_SERVE_ARTIFACTS"] = "true"
    from mlflow.server import app

    server = Server(app)
    server.client().search_experiments()
    del os.environ["MLFLOW_TRACKING_URI"]  # a server sets it for its whole process when it is first asked
    yield server
    server.stop()
    for name in [name for name in os.environ if name.startswith("_MLFLOW_SERVER_")]:
        del os.environ[name]
