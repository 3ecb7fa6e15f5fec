"""Where a run is recorded: a local mirror that always works, MLflow behind a writer thread, and the line on the terminal."""

from framework.tracking.base import Status, Tracker, Unavailable

__all__ = ["Status", "Tracker", "Unavailable"]
