"""`ui`."""

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from framework.cli import options
from framework.errors import UserError
from framework.tracking import store
from framework.tracking.artifacts import FOLDER
from framework.tracking.runs import runs
from framework.tracking.store import HOST

ENVIRONMENT: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
WATCH: Final = "cat; kill -TERM -$0 && sleep 5 && kill -KILL -$0"
"""Reads until the end of its standard input, which comes when this process ends in any way; then ends the server's process group."""


@click.command("ui")
@options.folder
@click.option("--port", type=click.IntRange(1, 65535), default=store.PORT, show_default=True, help="Where MLflow listens on this machine.")
@click.option("--print", "only_print", is_flag=True, help="Print the command that would be run, and run nothing.")
@click.pass_context
def ui_command(ctx: click.Context, folder: Path, port: int, only_print: bool) -> None:
    """Open MLflow's table of the runs.

    They are served until Ctrl-C. If MLFLOW_TRACKING_URI names a server, that one has the pages.

    \b
    dream ui --port 5001
    """
    uri = store.chosen_uri(folder)
    if store.is_server(uri):
        click.echo(f"The runs are on a server that has pages of its own: {store.masked(uri)}")
        return
    database = store.database(uri)
    if database is not None and not database.is_file():
        raise UserError(f"There is no store {database}: start a run with `dream train`, or name another --folder.")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", HOST, "--port", str(port), "--workers", "1"]
    if database is not None:
        command += ["--artifacts-destination", str(database.parent / FOLDER)]
    if only_print:
        click.echo(store.masked(shlex.join(command)))
        return
    _refuse_taken(port)
    click.echo(f"The runs are at {_table(uri, folder, port)} in some seconds; Ctrl-C ends it.")
    ctx.exit(serve(command))


def serve(command: list[str]) -> int:
    """Run a server in a process group that ends with this process, however this process ends."""
    server = subprocess.Popen(command, env=ENVIRONMENT | os.environ, start_new_session=True)
    watch = ["sh", "-c", WATCH, str(server.pid)]
    subprocess.Popen(watch, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    return server.wait()


def _table(uri: str, folder: Path, port: int) -> str:
    """The address of the table of the latest run's experiment."""
    from framework.tracking.mlflow_store import experiment_id, open_store

    records = runs(folder)
    page = f"http://{HOST}:{port}"
    return f"{page}/#/experiments/{experiment_id(open_store(uri), uri, records[0].experiment)}/runs" if records else page


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"Port {port} cannot be used ({error.strerror}): give another, as in --port {port % 65535 + 1}.") from error
