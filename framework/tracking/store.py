"""Which MLflow store a run goes to. Imports no mlflow, so that asking is quick."""

import logging
import os
import re
import sqlite3
import sys
import threading
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Final

from filelock import FileLock

log: Final = logging.getLogger("framework.tracking")
TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
PATIENCE: Final = 3.0
SQLITE: Final = "sqlite:///"


def local_uri(folder: Path) -> str:
    """The store inside a folder: absolute, since a relative one means another store in every working directory."""
    return f"{SQLITE}{(folder / 'mlflow.db').absolute()}"


def chosen_uri(folder: Path) -> str:
    """What `MLFLOW_TRACKING_URI` says, else the local store."""
    uri = os.environ.get(TRACKING_URI, "")
    path = database(uri)
    return f"{SQLITE}{path}" if path else uri or local_uri(folder)


def working_uri(uri: str, folder: Path) -> str:
    """This store, or the local one if this is a server that does not answer, which is said in one line."""
    if not is_server(uri) or answers(uri):
        return uri
    log.warning("The tracking server %s does not answer; this run goes to %s instead.", uri, local_uri(folder))
    return local_uri(folder)


def is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def answers(uri: str, patience: float = PATIENCE) -> bool:
    """Whether a server says anything but that it is broken, within some seconds."""
    heard: list[bool] = []
    # A thread, since no timeout of a socket bounds the look-up of a name or an answer that trickles.
    thread = threading.Thread(target=lambda: heard.append(_ask(f"{uri.rstrip('/')}/health", patience)), daemon=True)
    thread.start()
    thread.join(patience)
    return any(heard)


def _ask(url: str, patience: float) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=patience) as response:
            return bool(response.status < 500)
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False


def database(uri: str) -> Path | None:
    """The file behind an sqlite store, absolute."""
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)(?:\?.*)?", uri)
    return Path(match[1]).absolute() if match else None


def check(uri: str) -> None:
    """See that an sqlite store can be written, which MLflow would take minutes to find out.

    Raises:
        sqlite3.Error: it cannot.
    """
    path = database(uri)
    if path is not None:
        with closing(sqlite3.connect(path, timeout=20)) as connection:
            connection.execute("BEGIN IMMEDIATE")


def lock(uri: str, folder: Path) -> FileLock:
    """Held while a store is opened: processes that create the tables of one sqlite file at once break each other."""
    path = database(uri) or folder / "mlflow.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f"{path.name}.lock"), timeout=120)


def ui(folder: Path, port: int = 5000) -> list[str] | None:
    """The command that serves MLflow's pages for the store; `None` if the store is a server, which has pages itself."""
    uri = chosen_uri(folder)
    if is_server(uri):
        return None
    return [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", str(port)]
