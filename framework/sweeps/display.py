"""A sweep as it runs: a table on a terminal, a line each interval elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from statistics import mean
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from framework.sweeps.execution import Execution

COLUMNS: Final = ("cell", "step", "return", "time left")
TERMINAL_SECONDS: Final = 1.0


@contextmanager
def live_display(seconds: float = 10.0) -> Iterator[Callable[[Execution], None]]:
    """Gives what shows a sweep on standard output, at most once an interval: each second on a terminal, else `seconds`, as logfmt.

        finished=2 running=2 waiting=4 done=37% time_left=3120s

    The table has the running and the failed cells, with the return of the last evaluation, or of the last episodes before there is one.
    """
    console = Console(file=sys.stdout)
    live = Live(console=console, auto_refresh=False) if console.is_terminal and not console.is_dumb_terminal else None
    interval = seconds if live is None else TERMINAL_SECONDS
    due = time.monotonic()

    def show(execution: Execution) -> None:
        nonlocal due
        if time.monotonic() < due:
            return
        due = time.monotonic() + interval
        if live is None:
            print(line(execution), flush=True)
        else:
            live.update(table(execution), refresh=True)

    with live or nullcontext():
        yield show


def line(execution: Execution) -> str:
    """How many cells have each status, the mean share that is done of them, and the time until the last one ends."""
    counts = [f"{status}={number}" for status, number in sorted(execution.counts().items())]
    counts.append(f"done={mean(progress.share for progress in execution.progress.values()):.0%}")
    left = execution.seconds_left()
    return " ".join(counts + ([f"time_left={left:.0f}s"] if left is not None else []))


def table(execution: Execution) -> Table:
    """The cells that train and those that failed, above the line."""
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, caption=Text(line(execution)), caption_justify="left")
    for name in COLUMNS:
        drawn.add_column(name, justify="left" if name == "cell" else "right", overflow="fold")
    for row in rows(execution):
        drawn.add_row(*map(Text, row))
    return drawn


def rows(execution: Execution) -> Iterator[tuple[str, str, str, str]]:
    """A row for each cell that trains or that failed: its name, step, return, and time left."""
    for cell in execution.record.cells:
        progress = execution.progress[cell.key]
        returned = progress.returned if progress.evaluation is None else progress.evaluation
        done = f"{progress.step:,}/{progress.planned.steps:,}", "-" if returned is None else f"{returned:.1f}"
        if cell.status == "running":
            yield cell.key, *done, _duration(progress.seconds_left())
        elif cell.status == "failed":
            yield f"{cell.key}: {cell.error}", *done, "failed"


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else f"{timedelta(seconds=round(seconds))}"
