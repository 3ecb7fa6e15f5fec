"""`runs`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from framework.cli import options, output
from framework.errors import UserError
from framework.tracking.runs import RunRecord, runs


@click.command("runs")
@options.folder
@options.as_json
def runs_command(folder: Path, as_json: bool) -> None:
    """List the runs of a folder, the latest first.

    With the last and the highest return of each one's evaluations. The runs of a sweep are in a folder of the sweep's name.

    \b
    dream runs
    dream runs --folder runs/objectives
    """
    facts = [run_facts(record) for record in runs(folder)]
    if as_json:
        output.as_json(facts)
    elif not facts:
        output.sentence(f"There are no runs in {folder.absolute()}: start one with `dream train RECIPE`, or name another --folder.")
    else:
        output.table(["run", "recipe, task, seed", "step", "last", "best", "status"], map(_row, facts))


def run_facts(record: RunRecord) -> Mapping[str, Any]:
    """A run as its folder has it; None for what it never recorded."""
    from framework.reports.history import UNFINISHED, read_history
    from framework.training.lock import is_locked

    facts = {
        "name": record.name,
        "recipe": None,
        "task": None,
        "seed": None,
        "step": None,
        "last": None,
        "best": None,
        "status": "no metrics",
    }
    try:
        history = read_history(record.folder)
    except UserError:
        return facts
    _, returns = history.curves.get("eval/return", ([], []))
    evaluated = {"last": returns[-1], "best": max(returns)} if returns else {}
    status = "running" if history.status == UNFINISHED and is_locked(record.folder) else history.status
    settings = {"recipe": history.recipe, "task": history.task, "seed": history.seed}
    return facts | settings | {"step": history.reached, "status": status} | evaluated


def _row(facts: Mapping[str, Any]) -> list[str]:
    settings = ", ".join(str(facts[name]) for name in ("recipe", "task", "seed") if facts[name] is not None)
    step = "" if facts["step"] is None else f"{facts['step']:,}"
    returns = ["" if facts[name] is None else f"{facts[name]:.1f}" for name in ("last", "best")]
    return [facts["name"], settings, step, *returns, facts["status"]]
