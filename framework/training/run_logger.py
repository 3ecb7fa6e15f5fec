"""The records of a run as it trains: metrics, evaluations, pictures, checkpoints."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor

from framework.data import Metrics
from framework.environments.base import Environment
from framework.errors import UserError
from framework.tracking.base import MetricsEvent, PictureEvent, Tracker, VideoEvent
from framework.training.checkpoints import Checkpoints
from framework.training.evaluation import Evaluated, Evaluation, Stop, never
from framework.training.faults import Faults
from framework.training.learner import Diverged, Finished, Learner
from framework.training.policy import PolicyRecipe

STAGES: Final = ("update", "act", "step", "evaluate", "checkpoint")
"""The stages whose share of the time is `time/share_update` and so on; `step` is waiting for environments, and storing."""

log = logging.getLogger(__name__)


@final
class RunLogger:
    """Logs every `log_every` environment steps, evaluates and checkpoints when due.

    `updates` and `episodes` hold the metrics of updates and the finished episodes since the last log.

    A full disk does not end a run: the checkpoint is tried again at the next interval.
    """

    def __init__(
        self,
        *,
        tracker: Tracker,
        evaluation: Evaluation,
        checkpoints: Checkpoints,
        environment: Callable[..., Environment],
        environment_timeout: float,
        policy: PolicyRecipe,
        settings: Mapping[str, Any],
        log_every: int,
        seconds_left: Callable[[Learner], float | None],
    ) -> None:
        self.tracker, self.evaluation, self.checkpoints = tracker, evaluation, checkpoints
        self.environment, self.policy, self.settings, self.log_every = environment, policy, settings, log_every
        self.seconds_left, self.environment_timeout = seconds_left, environment_timeout
        self.latest: Evaluated | None = None
        self.updates: list[Metrics] = []
        self.episodes: list[Finished] = []
        self._spent = dict.fromkeys(STAGES, 0.0)
        self._since = time.monotonic()
        self._from: tuple[int, int] | None = None
        self._saved = (0, 0)
        self._errors: int | None = None

    @contextmanager
    def stopwatch(self, stage: str) -> Iterator[None]:
        """Add the time of a stage to its share."""
        started = time.monotonic()
        yield
        self._spent[stage] += time.monotonic() - started

    def mark(self, learner: Learner, stop: Stop = never) -> None:
        """Log, evaluate and checkpoint, each if it is due; after errors of environments a checkpoint is."""
        progress = learner.progress
        if self._from is None:
            self._from = (progress.step, progress.updates)
        if progress.step // self.log_every > progress.logged // self.log_every:
            self.write(learner)
        if progress.updates and progress.step // self.evaluation.every > progress.evaluated // self.evaluation.every:
            self.evaluate(learner, stop)
        if self.checkpoints.due(progress.step) or self._errors not in (None, progress.environment_errors):
            self.checkpoint(learner)
        self._errors = progress.environment_errors

    def write(self, learner: Learner) -> None:
        """Log the means since the last log, and the diagnostics of the last batch."""
        progress = learner.progress
        values: dict[str, Any] = {
            **_means(self.updates),
            **self._times(learner),
            "train/updates": progress.updates,
            "train/episodes": progress.episodes,
            "train/environment_errors": progress.environment_errors,
            "train/replay_steps": len(learner.replay),
        }
        if self.updates:
            learner.check(self.updates[-1])
            values |= learner.diagnose()
        if self.episodes:
            values["train/return"] = np.mean([episode.value for episode in self.episodes])
            values["train/length"] = np.mean([episode.length for episode in self.episodes])
        progress.logged = progress.step
        self.tracker.record(MetricsEvent(progress.step, {name: float(value) for name, value in values.items()}))
        self.updates, self.episodes = [], []

    def evaluate(self, learner: Learner, stop: Stop = never) -> None:
        """Run the evaluation episodes; a better mean than ever before makes the next checkpoint the best.

        Where `stop` ends them, nothing is recorded, and a resume evaluates again.
        """
        progress, faults = learner.progress, Faults(most=learner.faults.most, interrupted=learner.faults.interrupted)
        try:
            with self.stopwatch("evaluate"):
                evaluated = self.evaluation.run(
                    agent=learner.agent,
                    runtime=learner.runtime,
                    environment=self.environment,
                    seed=learner.seed,
                    timeout=self.environment_timeout,
                    faults=faults,
                    stop=stop,
                )
        finally:
            progress.environment_errors += faults.total
        if evaluated is None:
            if not faults.interrupted():
                log.warning("The evaluation at step %d was not over with Trainer.minutes, and is left out.", progress.step)
            return
        progress.evaluated = progress.step
        self.latest = evaluated
        values = {
            "eval/return": evaluated.mean,
            "eval/return_std": float(np.std(evaluated.returns)),
            "eval/return_min": min(evaluated.returns),
            "eval/return_max": max(evaluated.returns),
            "eval/length": float(np.mean(evaluated.lengths)),
            "eval/episodes": float(len(evaluated.returns)),
        }
        self.tracker.record(MetricsEvent(progress.step, values))
        if evaluated.frames is not None:
            self.tracker.record(VideoEvent("evaluation", progress.step, evaluated.frames, fps=20.0))
        for name, picture in learner.pictures().items():
            self.tracker.record(PictureEvent(name, progress.step, picture.cpu().numpy()))
        if progress.best is None or evaluated.mean > progress.best:
            progress.best = evaluated.mean
            self.checkpoint(learner, best=True)

    def checkpoint(self, learner: Learner, *, best: bool = False) -> bool:
        """Write a checkpoint; on a full disk log a warning, and return False."""
        with self.stopwatch("checkpoint"):
            try:
                self._save(learner, best=best)
            except UserError as error:
                log.warning("%s Training goes on, and tries again.", error)
                return False
        return True

    def finish(self, learner: Learner, *, evaluate: bool, stop: Stop = never) -> None:
        """The last log, evaluation and checkpoint of a run. Raises `UserError` on a full disk."""
        if learner.progress.logged < learner.progress.step:
            self.write(learner)
        if evaluate and learner.progress.evaluated < learner.progress.step and learner.progress.updates:
            self.evaluate(learner, stop)
        self._settle()
        self._save(learner)
        self.checkpoints.wait()

    def rescue(self, learner: Learner) -> None:
        """Checkpoint what was trained before an environment or a disk failed, if possible."""
        reached = (learner.progress.step, learner.progress.updates)
        if learner.steps is not None and reached > self._saved and self.checkpoint(learner):
            self._settle()

    def diverged(self, error: Diverged, folder: Path) -> UserError:
        """Save the batch of an update that was not finite; the error to raise names it and the last good checkpoint."""
        path = folder / "diverged.pt"
        batch = {name: value for name, value in vars(error.batch.map(Tensor.cpu)).items() if isinstance(value, Tensor | Mapping)}
        torch.save({"batch": batch, "metrics": dict(error.metrics)}, path)
        self.checkpoints.wait()
        names = ", ".join(f"{name} = {value}" for name, value in sorted(error.metrics.items()))
        return UserError(
            f"Training stopped because a loss or a gradient is no number: {names}. The batch is in {path}, the last good checkpoint is "
            f"{self.checkpoints.latest or 'none yet'}; resume from it with a smaller learning rate, as in "
            "-b 'model/Adam.learning_rate=1e-4'."
        )

    def _save(self, learner: Learner, *, best: bool = False) -> None:
        self._saved = (learner.progress.step, learner.progress.updates)
        self.checkpoints.save(learner.progress.step, self._contents(learner), learner.replay.snapshot, best=best)

    def _settle(self) -> None:
        """Wait for the checkpoint being written; if it failed, log that and go on."""
        try:
            self.checkpoints.wait()
        except UserError as error:
            log.warning("%s", error)

    def _contents(self, learner: Learner) -> dict[str, Any]:
        return learner.state_dict() | {"policy": asdict(self.policy), "settings": self.settings}

    def _times(self, learner: Learner) -> dict[str, float]:
        now, progress = time.monotonic(), learner.progress
        wall = max(now - self._since, 1e-9)
        step, updates = self._from or (progress.step, progress.updates)
        values = {f"time/share_{stage}": seconds / wall for stage, seconds in self._spent.items()}
        values["time/steps_per_second"] = (progress.step - step) / wall
        values["time/updates_per_second"] = (progress.updates - updates) / wall
        values["time/minutes"] = progress.seconds / 60
        if self.updates:
            values["time/seconds_per_update"] = self._spent["update"] / len(self.updates)
        left = self.seconds_left(learner)
        if left is not None:
            values["time/seconds_left"] = left
        self._spent = dict.fromkeys(STAGES, 0.0)
        self._since, self._from = now, (progress.step, progress.updates)
        return values


def _means(history: list[Metrics]) -> dict[str, float]:
    """The mean of each metric over several updates, read from the device at once."""
    if not history:
        return {}
    names = list(history[0])
    stacked = torch.stack([torch.stack([metrics[name].float() for name in names]) for metrics in history])
    return dict(zip(names, stacked.mean(dim=0).tolist(), strict=True))
