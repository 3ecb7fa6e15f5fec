"""The options that several commands share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
RUNS: Final = Path("runs")

bindings: Final = click.option(
    "-b", "--bind", "bindings", multiple=True, metavar="BINDING", help="Override a value, as in -b 'Trainer.steps=20000'; may be repeated."
)
imports: Final = click.option(
    "--import", "imports", multiple=True, metavar="MODULE", help="Import a module of your own components first; may be repeated."
)
trust: Final = click.option("--trust", is_flag=True, help="Let a run that you did not make run its own code.")
seed: Final = click.option("--seed", type=click.IntRange(min=0), help="Determines the whole run; the same as -b Run.seed=N.")
as_json: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
folder: Final = click.option(
    "--folder", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="Where the run folders are."
)


def checkpoint(default: str) -> Callable[[Command], Command]:
    """`--checkpoint`, with a default of the command."""
    return click.option("--checkpoint", default=default, show_default=True, metavar="latest|best|STEP", help="Which checkpoint of the run.")


def seeded(bindings: Sequence[str], number: int | None) -> list[str]:
    """The bindings, with that of `--seed`."""
    return [*bindings] if number is None else [*bindings, f"Run.seed={number}"]
