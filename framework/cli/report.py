"""`report`."""

from pathlib import Path

import click

import framework
from framework.cli import options, output
from framework.errors import UserError
from framework.text import display


@click.command("report")
@click.argument("names", metavar="[SWEEP|RUN]...", nargs=-1)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only runs with this tag, as MLflow or the run's folder has it; may be repeated.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for the files.  [default: report/, in the folder of a sweep]",
)
@options.folder
@options.as_json
def report_command(names: tuple[str, ...], tags: tuple[str, ...], out: Path | None, folder: Path, as_json: bool) -> None:
    """Compare the runs of a sweep, or any runs, on one page.

    A sweep is given by its name, a run by its name, its folder or its MLflow id. The page, report.html, needs no network; pictures, tables
    and all numbers as JSON are beside it. It is also an artifact of the sweep's run in MLflow.

    \b
    dream report negatives
    dream report quickstart-20260101-120000-0 quickstart-20260101-123000-1 -o compared
    dream report --tag task=cartpole_swingup
    """
    wrong = [tag for tag in tags if "=" not in tag]
    if wrong:
        raise UserError(f"--tag {wrong[0]} has no value: write KEY=VALUE, as in --tag task=cartpole_swingup.")
    report = framework.report(*names, tags=dict(tag.split("=", 1) for tag in tags), folder=folder, out=out)
    page = report.page or report.write(Path("report"))
    if as_json:
        output.as_json(report.json())
        return
    rows = report.table[report.table["source"] == ""]
    output.table(
        ["task", "method", "steps", "return", "95 % interval", "seeds", "episodes"],
        [
            [
                row.task,
                row.method,
                f"{row.budget:,}",
                f"{row.mean:.1f}",
                f"{row.low:.1f} to {row.high:.1f}" if row.count > 1 else "one seed",
                f"{row.count:.0f} of {row.of:.0f} ({row.seeds})",
                row.episodes,
            ]
            for row in rows.itertuples()
        ],
    )
    if unfinished := report.facts["unfinished"]:
        columns = ["method", "task", "seed", "status", "reached"]
        click.echo("\nNot finished:")
        output.table(columns, [[row[column] for column in columns] for row in unfinished])
    click.echo(f"\nWritten: {display(page)}")
