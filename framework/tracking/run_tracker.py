"""The tracker that a run calls: one for all."""

from pathlib import Path
from typing import final

from framework.tracking.base import Status, Tracker
from framework.tracking.events import Event, VideoEvent


@final
class RunTracker(Tracker):
    """Passes every event of one run to several trackers."""

    def __init__(self, *, run_folder: Path, console: Tracker, mirror: Tracker, remote: Tracker | None) -> None:
        self.run_folder = run_folder
        self.mirror = mirror
        self.trackers = [console, mirror] + ([remote] if remote else [])
        self.run_id = remote.run_id if remote else None
        self.url = remote.url if remote else None

    def record(self, event: Event) -> None:
        """Record an event everywhere; a video goes to the mirror alone, which encodes it and forwards the file."""
        for tracker in [self.mirror] if isinstance(event, VideoEvent) else self.trackers:
            tracker.record(event)

    def flush(self) -> None:
        for tracker in self.trackers:
            tracker.flush()

    def close(self, status: Status) -> None:
        """Close in order: the mirror forwards its last videos before the store is closed."""
        for tracker in self.trackers:
            tracker.close(status)
