"""`sync`."""

from pathlib import Path

import click

import framework
from framework.cli import options
from framework.tracking.jsonl import MIRROR


@click.command("sync")
@click.argument("run")
@options.folder
@click.pass_context
def sync_command(ctx: click.Context, run: str, folder: Path) -> None:
    """Send to MLflow what it lacks of a run.

    RUN is `latest`, a name, an MLflow id, a folder, or the beginning of a name or an id. The store is that of MLFLOW_TRACKING_URI, else the
    one in which the run was to be recorded. The exit status is 1 if something was refused.

    \b
    dream sync latest
    """
    record, refused = framework.sync(run, folder=folder)
    but = f", but {refused} records that were refused" if refused else ""
    click.echo(f"All that {MIRROR} has of {record.folder.name} is in {record.tracking_uri} as run {record.run_id}{but}.")
    if refused:
        ctx.exit(1)
