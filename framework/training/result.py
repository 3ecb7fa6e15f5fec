"""The end of a training."""

from dataclasses import dataclass
from pathlib import Path

from framework.tracking.base import Status
from framework.training.evaluation import Evaluated
from framework.training.learner import Progress


@dataclass(frozen=True)
class Result:
    """The end of a training, and the places of its outputs."""

    folder: Path
    run_id: str | None
    url: str | None
    status: Status
    progress: Progress
    evaluated: Evaluated | None
    latest: Path | None
    best: Path | None
    stopped_by: str = ""
    """The signal that stopped it: `Ctrl-C`, `SIGTERM` or `SIGHUP`."""
