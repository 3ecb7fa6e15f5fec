"""The choice of the MLflow store of a run. Imports no mlflow, which takes seconds."""

import logging
import os
import re
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Final

from filelock import FileLock

log: Final = logging.getLogger("framework.tracking")
TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
PATIENCE: Final = 3.0
"""Seconds that a server has to answer."""
SQLITE: Final = "sqlite:///"
HOST: Final = "127.0.0.1"
PORT: Final = 5000
"""Where `dream ui` serves MLflow's pages."""


def local_uri(folder: Path) -> str:
    """The store inside a folder; absolute and without `..`, so that it depends on no other folder."""
    return f"{SQLITE}{os.path.abspath(folder / 'mlflow.db')}"


def chosen_uri(folder: Path) -> str:
    """The store in `MLFLOW_TRACKING_URI`, else the local store."""
    uri = os.environ.get(TRACKING_URI, "")
    path = database(uri)
    return f"{SQLITE}{path}" if path else uri or local_uri(folder)


def working_uri(uri: str, folder: Path) -> str:
    """This store, or the local one, with a warning, if it is a server that does not answer."""
    if not is_server(uri) or answers(uri):
        return uri
    log.warning("The tracking server %s does not answer; this run goes to %s instead.", uri, local_uri(folder))
    return local_uri(folder)


def is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def answers(uri: str) -> bool:
    """Whether a server answers within some seconds with anything but a server error."""
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=PATIENCE):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False


def database(uri: str) -> Path | None:
    """The file behind an sqlite store, absolute."""
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)(?:\?.*)?", uri)
    return Path(os.path.abspath(match[1])) if match else None


def check(uri: str) -> None:
    """Raise `sqlite3.Error` if an sqlite store cannot be written; MLflow would retry for minutes."""
    path = database(uri)
    if path is not None:
        with closing(sqlite3.connect(path, timeout=20)) as connection:
            connection.execute("BEGIN IMMEDIATE")


def lock(uri: str, folder: Path) -> FileLock:
    """The lock under which a store is opened: processes that create the tables of one sqlite file at once break each other."""
    path = database(uri) or folder / "mlflow.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f"{path.name}.lock"), timeout=120)
