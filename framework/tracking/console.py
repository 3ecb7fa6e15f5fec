"""The progress of a run: a moving line on a terminal, logfmt lines elsewhere."""

import logging
import math
import sys
import time as clock
from datetime import timedelta
from typing import Final, final

from rich.console import Console as Terminal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from framework.tracking.base import Event, MetricsEvent, Status, Tracker

log: Final = logging.getLogger("framework.tracking")
FIELDS: Final = {
    "return": ("train/return", ".1f"),
    "evaluation": ("eval/return", ".1f"),
    "estimate": ("contrastive/estimate", ".2f"),
    "ceiling": ("contrastive/ceiling", ".2f"),
    "accuracy": ("contrastive/accuracy", ".2f"),
    "alone": ("contrastive/alone", ".2f"),
    "is_lower_bound": ("contrastive/is_lower_bound", ".0f"),
}
"""The fields of the line: name, metric, format."""
FEW_ALONE: Final = 0.1
"""The share of anchors without a negative up to which it is not shown."""
IMPORTANCE: Final = ("return", "left", "steps", "updates", "evaluation", "alone", "estimate", "accuracy", "speed")
"""Which parts of the text beside the bar are kept where the terminal is narrow, the first ones longest."""
NARROW: Final = 100
"""Columns below which the bar is half as long."""
UPDATES: Final = "train/updates"
UPDATES_PER_SECOND: Final = "time/updates_per_second"
SECONDS_LEFT: Final = "time/seconds_left"
SMOOTHING: Final = 0.7
TERMINAL_SECONDS: Final = 1.0


@final
class Console(Tracker):
    """Shows the latest numbers on standard output, at most once an interval: every second on a terminal, else `seconds`, as logfmt.

        step=12000 steps_per_second=83.1 return=412.0 estimate=4.91 ceiling=5.95 accuracy=0.71 time_left=312s

    A field whose metric was never recorded is left out, as `alone` is up to 0.1 and `is_lower_bound` unless it is 0. `NO_COLOR` and
    dumb terminals are respected.

    Args:
        total_steps: where the run ends, in environment steps; nothing is shown if it is 0.
        total_updates: the updates after which it ends, if they come sooner.
        first_step: where the run begins; above 0 if it is resumed.
    """

    def __init__(self, *, total_steps: int, total_updates: int | None = None, first_step: int = 0, seconds: float = 10.0) -> None:
        self.total_steps, self.total_updates = total_steps, total_updates
        self.step = first_step
        self.stream = sys.stdout
        self.speed = 0.0
        self.latest: dict[str, float] = {}
        terminal = Terminal(file=self.stream)
        moving = terminal.is_terminal and not terminal.is_dumb_terminal
        self.seconds = TERMINAL_SECONDS if moving else seconds
        self._shown_at, self._shown_step = clock.monotonic(), first_step
        self._progress: Progress | None = None
        if moving:
            bar = BarColumn(bar_width=20 if terminal.width >= NARROW else 10)
            columns = (TaskProgressColumn(), bar, TextColumn("{task.description}", markup=False))
            self._progress = Progress(*columns, console=terminal, auto_refresh=False)
            self._task = self._progress.add_task("", total=1.0)
            self._progress.update(self._task, completed=self._share())

    def record(self, event: Event) -> None:
        if isinstance(event, MetricsEvent):
            self.step = max(self.step, event.step)
            self.latest |= event.values
            if clock.monotonic() - self._shown_at >= self.seconds:
                self._show()

    def close(self, status: Status) -> None:
        if self.step != self._shown_step and self.latest:
            self._show()
        if self._progress is not None:
            self._progress.stop()

    def _show(self) -> None:
        """Show progress; a closed output (`dream train .. | head`) must not end the run."""
        if not self.total_steps:
            return
        self._measure()
        try:
            if self._progress is None:
                print(self.line(), file=self.stream, flush=True)
            else:
                width = self._progress.console.width
                room = width - len("100%  ") - (20 if width >= NARROW else 10)
                self._progress.update(self._task, completed=self._share(), description=self.sentence(room))
                self._progress.start()
                self._progress.refresh()
        except (OSError, ValueError) as error:
            if self.seconds < math.inf:
                log.warning("The progress line cannot be written (%s); the run goes on without it.", error)
            self.seconds = math.inf

    def _measure(self) -> None:
        now = clock.monotonic()
        speed = (self.step - self._shown_step) / max(now - self._shown_at, 1e-9)
        self.speed = SMOOTHING * self.speed + (1 - SMOOTHING) * speed if self.speed > 0 else speed
        self._shown_at, self._shown_step = now, self.step

    def _share(self) -> float:
        """The share of the steps, or of the updates if that is more, that are done."""
        of_updates = self.latest.get(UPDATES, 0) / self.total_updates if self.total_updates else 0.0
        return max(self.step / max(self.total_steps, 1), of_updates)

    def line(self) -> str:
        """The logfmt line."""
        shown = [f"step={self.step}", f"steps_per_second={self.speed:.1f}"]
        shown += [f"updates={self.latest.get(UPDATES, 0):.0f}"] if self.total_updates else []
        shown += [f"{name}={value:{FIELDS[name][1]}}" for name, value in self._values().items()]
        left = self._seconds_left()
        return " ".join(shown + ([f"time_left={left:.0f}s"] if left is not None else []))

    def sentence(self, width: int) -> str:
        """The text beside the progress bar: the most important of its parts that fit into `width`."""
        value, left = self._values(), self._seconds_left()
        parts = {"steps": f"{self.step:,}/{self.total_steps:,} steps"}
        if self.total_updates:
            parts["updates"] = f"{self.latest.get(UPDATES, 0):,.0f}/{self.total_updates:,} updates"
        parts["speed"] = f"{self.speed:.0f} steps/s"
        parts |= {name: f"{name} {value[name]:.0f}" for name in ("return", "evaluation") if name in value}
        if "estimate" in value:
            ceiling = f" of {value['ceiling']:.2f}" if "ceiling" in value else ""
            parts["estimate"] = f"estimate {value['estimate']:.2f}{ceiling} nats" + (", no bound" if "is_lower_bound" in value else "")
        parts |= {name: f"{name} {value[name]:.0%}" for name in ("accuracy", "alone") if name in value}
        if left is not None:
            parts["left"] = f"{timedelta(seconds=round(left))} left"
        kept: set[str] = set()
        for name in IMPORTANCE:
            if name in parts and len("  ".join(parts[each] for each in (*kept, name))) <= width:
                kept.add(name)
        return "  ".join(text for name, text in parts.items() if name in kept)

    def _values(self) -> dict[str, float]:
        """The fields to be shown, by name."""
        values = {name: self.latest[metric] for name, (metric, _) in FIELDS.items() if metric in self.latest}
        hidden = {"alone": values.get("alone", 0.0) <= FEW_ALONE, "is_lower_bound": values.get("is_lower_bound", 1.0) == 1.0}
        return {name: value for name, value in values.items() if not hidden.get(name)}

    def _seconds_left(self) -> float | None:
        """The trainer's own metric if it has a time budget, else the remaining steps or updates over their speed."""
        if SECONDS_LEFT in self.latest:
            return self.latest[SECONDS_LEFT]
        left: list[tuple[float, float]] = [(self.total_steps - self.step, self.speed)]
        if self.total_updates:
            left.append((self.total_updates - self.latest.get(UPDATES, 0), self.latest.get(UPDATES_PER_SECOND, 0.0)))
        return min((max(0.0, remaining) / speed for remaining, speed in left if speed > 0), default=None)
