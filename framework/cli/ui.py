"""`ui`."""

import os
import shlex
import socket
import subprocess
from pathlib import Path

import click

from framework.cli import options
from framework.errors import UserError
from framework.tracking import store

HOST = "127.0.0.1"


@click.command("ui")
@options.folder
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Where MLflow listens on this machine.")
@click.option("--print", "only_print", is_flag=True, help="Print the command that would be run, and run nothing.")
@click.pass_context
def ui_command(ctx: click.Context, folder: Path, port: int, only_print: bool) -> None:
    """Open MLflow's pages on the runs.

    They are served until Ctrl-C. If MLFLOW_TRACKING_URI names a server, that one has the pages.

    \b
    dream ui --port 5001
    """
    command = store.ui(folder, port)
    if command is None:
        click.echo(f"The runs are on a server that has pages of its own: {store.chosen_uri(folder)}")
        return
    database = store.database(store.chosen_uri(folder))
    if database is not None and not database.is_file():
        raise UserError(f"There is no store {database}: start a run with `dream train`, or name another --folder.")
    if only_print:
        click.echo(shlex.join(command))
        return
    _refuse_taken(port)
    click.echo(f"MLflow is at http://{HOST}:{port} in some seconds; Ctrl-C ends it.")
    ctx.exit(subprocess.run(command, env={"MLFLOW_DISABLE_TELEMETRY": "true"} | os.environ, check=False).returncode)


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"Port {port} cannot be used ({error.strerror}): give another, as in --port {port % 65535 + 1}.") from error
