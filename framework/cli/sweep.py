"""`sweep`."""

import json
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from framework.cli import options, output
from framework.text import display

if TYPE_CHECKING:
    from framework.sweeps.api import PreparedSweep
    from framework.sweeps.result import SweepResult


def _seeds(ctx: click.Context, option: click.Parameter, text: str | None) -> int | Sequence[int] | None:
    if text is not None and not re.fullmatch(r"\d+(,\d+)*,?", text):
        raise click.BadParameter(f"'{text}' must be a number of seeds, as 3, or the seeds themselves, as 0,5,7.")
    return None if text is None else [int(seed) for seed in text.split(",") if seed] if "," in text else int(text)


@click.command("sweep")
@click.argument("recipes", metavar="RECIPE...", nargs=-1, required=True)
@options.bindings
@click.option("--seeds", callback=_seeds, metavar="N|SEED,..", help="How many seeds, from 0 on, or the seeds themselves.")
@click.option("--grid", multiple=True, metavar="NAME=[VALUE, ..]", help="The values of a setting or macro; may be repeated.")
@click.option("--zip", "zipped", is_flag=True, help="Pair the values of all --grid, in place of all combinations.")
@click.option("--name", help="What the sweep is called; its file or its recipes if not given.")
@click.option("--processes", type=click.IntRange(min=1), help="Runs at the same time; else the cores divided by the threads of a run.")
@click.option("--ray", metavar="ADDRESS", help="Run on a Ray cluster, as `auto` or ray://head:10001.")
@click.option("--gpus", type=click.FloatRange(min=0), default=0.0, help="The share of an accelerator of each run on Ray, as 0.25.")
@click.option("--stop-below", type=click.Choice(["median"]), help="Stop a run below the median of its task, from half of its budget on.")
@click.option("--dry-run", is_flag=True, help="Print the cells and the time that they are expected to take, and run nothing.")
@options.imports
@options.trust
@options.folder
@options.as_json
@click.pass_context
def sweep_command(
    ctx: click.Context,
    recipes: tuple[str, ...],
    bindings: tuple[str, ...],
    seeds: int | Sequence[int] | None,
    grid: tuple[str, ...],
    zipped: bool,
    name: str | None,
    processes: int | None,
    ray: str | None,
    gpus: float,
    stop_below: Literal["median"] | None,
    dry_run: bool,
    imports: tuple[str, ...],
    trust: bool,
    folder: Path,
    as_json: bool,
) -> None:
    """Train many runs: recipes, seeds, and values of settings.

    RECIPE is one or several recipes, or the file of a sweep. Every cell is checked before the first one starts. The same command again goes
    on: what is finished is skipped, what broke is resumed from its checkpoint, what is missing is begun.

    \b
    dream sweep quickstart --seeds 3 --grid "task=['cartpole_swingup', 'ball_in_cup_catch']" --name tasks
    dream sweep quickstart quickstart_reconstruction quickstart_reward_only --seeds 3 --name objectives
    """
    from framework.sweeps.api import prepare
    from framework.sweeps.source import read_grid, read_source

    if gpus and ray is None:
        raise click.BadParameter("a share of an accelerator is what Ray gives: add --ray ADDRESS.", param_hint="--gpus")
    source = read_source(
        recipes, bindings, seeds=seeds, grid=read_grid(grid), zip=zipped, processes=processes, imports=imports, trust=trust
    )
    prepared = prepare(source, name=name, folder=folder)
    if dry_run:
        _show_plan(prepared, as_json)
        return
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        result = prepared.run(ray=ray, gpus=gpus, stop_below=stop_below)
    _show(result, as_json)
    ctx.exit({"FINISHED": 0, "FAILED": 1, "KILLED": 130}[result.status])


def _show_plan(prepared: "PreparedSweep", as_json: bool) -> None:
    """Print the cells and the sum of their expected time."""
    from framework.sweeps.progress import minutes_left

    minutes = {each.cell.key: minutes_left(each, prepared.record.folder) for each in prepared.planned}
    estimates = [each for each in minutes.values() if each is not None]
    slots, unknown = prepared.slots(), len(minutes) - len(estimates)
    if as_json:
        output.as_json({"name": prepared.record.name, "processes": slots, "minutes": minutes, "sum": sum(estimates)})
        return
    output.table(["cell", "expected"], [[key, _duration(each)] for key, each in minutes.items()])
    click.echo(f"\n{len(minutes)} cells, {slots} at a time.")
    if estimates:
        click.echo(f"Expected are {_duration(sum(estimates))} in all, and {_duration(sum(estimates) / slots)} on this machine.")
    if unknown:
        click.echo(f"Of {unknown} cells the time is not known: they have no Trainer.minutes, and no run of their recipe can be measured.")


def _duration(minutes: float | None) -> str:
    return "unknown" if minutes is None else str(timedelta(seconds=round(60 * minutes)))


def _show(result: "SweepResult", as_json: bool) -> None:
    if as_json:
        cells = json.loads(result.table.to_json(orient="records"))  # where what is missing is null
        output.as_json({"name": result.record.name, "status": result.status, "url": result.url, "cells": cells})
        return
    click.echo()
    table = result.table[["cell", "status", "step", "return", "best"]].round(1).astype(object).fillna("-")
    output.table(list(table.columns), [[str(value) for value in row] for row in table.itertuples(index=False)])
    for cell in result.record.cells:
        if cell.status in ("failed", "stopped"):
            click.echo(f"{cell.key}: {cell.error}", err=True)
    again = " Give the same command again to go on." if result.status != "FINISHED" else ""
    stopped = "Stopped by Ctrl-C: " if result.status == "KILLED" else ""
    click.echo(f"\n{stopped}{result.how_far()}{again}")
    if result.report is not None:
        click.echo(f"Report: {display(result.report)}")
