"""The choice of the MLflow store of a run, and its address without secrets. Imports no mlflow, which takes seconds."""

import logging
import os
import re
import sqlite3
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

log: Final = logging.getLogger("framework.tracking")
TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
USERNAME: Final = "MLFLOW_TRACKING_USERNAME"
PASSWORD: Final = "MLFLOW_TRACKING_PASSWORD"
PATIENCE: Final = 3.0
"""Seconds that a server has to answer."""
SQLITE: Final = "sqlite:///"
DATABASE: Final = "mlflow.db"
HOST: Final = "127.0.0.1"
PORT: Final = 5000
"""Where `dream ui` serves MLflow's pages."""


def local_uri(folder: Path) -> str:
    """The store inside a folder; absolute and without `..`, so that it depends on no other folder."""
    return sqlite_uri(Path(os.path.abspath(folder / DATABASE)))


def sqlite_uri(path: Path) -> str:
    """The address of an sqlite file. SQLAlchemy unquotes it from version 2.1 on, and takes `?` for the beginning of options."""
    try:
        unquotes = tuple(int(number) for number in version("sqlalchemy").split(".")[:2]) >= (2, 1)
    except PackageNotFoundError:  # a policy is loaded where MLflow is not installed
        unquotes = False
    return SQLITE + (str(path).replace("%", "%25").replace("?", "%3F") if unquotes else str(path))


def database(uri: str) -> Path | None:
    """The file behind an sqlite store, absolute."""
    if not re.match(r"sqlite(\+\w+)?:///.", uri):
        return None
    from sqlalchemy.engine import make_url

    return Path(os.path.abspath(make_url(uri).database or ""))


def chosen_uri(folder: Path) -> str:
    """The store in `MLFLOW_TRACKING_URI`, else the local store.

    The credentials in the address of a server move to the variables from which MLflow takes them, so that no message repeats them.
    """
    uri = os.environ.get(TRACKING_URI, "")
    parts = urlsplit(uri) if is_server(uri) else None
    if parts and parts.username and parts.password:
        os.environ[USERNAME], os.environ[PASSWORD] = unquote(parts.username), unquote(parts.password)
        os.environ[TRACKING_URI] = uri = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    path = database(uri)
    return sqlite_uri(path) if path else uri or local_uri(folder)


def is_chosen() -> bool:
    """Whether `MLFLOW_TRACKING_URI` names a store."""
    return bool(os.environ.get(TRACKING_URI))


def masked(text: str) -> str:
    """A text without the credentials of the addresses in it: `https://user:secret@host` becomes `https://***@host`."""
    return re.sub(r"(?<=://)[^/\s'\"]+@", "***@", text)


def is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def working_uri(uri: str, folder: Path) -> str:
    """This store, or the local one, with a warning, if it is a server that does not answer."""
    reason = problem(uri) if is_server(uri) else None
    if reason is None:
        return uri
    log.warning("The tracking server %s does not answer (%s); this run goes to %s instead.", masked(uri), reason, local_uri(folder))
    return local_uri(folder)


def problem(uri: str) -> str | None:
    """Why MLflow's own client cannot use a server, with its settings of TLS and credentials; `None` if it can."""
    from framework.tracking.mlflow_store import first_line, open_store

    usual = {name: os.environ[name] for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT")}
    os.environ |= dict.fromkeys(usual, "0") | {"MLFLOW_HTTP_REQUEST_TIMEOUT": f"{max(1, round(PATIENCE))}"}
    try:
        open_store(uri).search_experiments(max_results=1)
    except Exception as error:  # of MLflow, of requests, or of a plugin
        return first_line(error)
    finally:
        os.environ |= usual
    return None


def check(uri: str) -> None:
    """Raise `sqlite3.Error` if an sqlite store cannot be written; MLflow would retry for minutes."""
    path = database(uri)
    if path is not None:
        with closing(sqlite3.connect(path, timeout=20)) as connection:
            connection.execute("BEGIN IMMEDIATE")
