"""What a run writes down as it goes: metrics, evaluations, pictures, checkpoints."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch

from framework.data import Metrics
from framework.environments.base import Environment
from framework.errors import UserError
from framework.tracking.base import Tracker
from framework.training.checkpoints import Checkpoints
from framework.training.evaluation import Evaluated, Evaluation
from framework.training.learner import Diverged, Finished, Learner, batch_content, mean_of
from framework.training.policy import PolicyRecipe

STAGES: Final = ("update", "act", "step", "evaluate", "checkpoint")
"""What a run's time goes to, in `time/share_update` and so on; `step` is waiting for environments, and storing."""

log = logging.getLogger(__name__)


@final
class RunLogger:
    """Logs every `log_every` environment steps, evaluates and checkpoints when due; components never track, this does.

    A full disk does not end a run: the checkpoint is tried again at the next interval.
    """

    def __init__(
        self,
        *,
        tracker: Tracker,
        evaluation: Evaluation,
        checkpoints: Checkpoints,
        environment: Callable[..., Environment],
        policy: PolicyRecipe,
        log_every: int,
        seconds_left: Callable[[Learner], float | None],
    ) -> None:
        self.tracker, self.evaluation, self.checkpoints = tracker, evaluation, checkpoints
        self.environment, self.policy, self.log_every = environment, policy, log_every
        self.seconds_left = seconds_left
        self.latest: Evaluated | None = None
        self._history: list[Metrics] = []
        self._episodes: list[Finished] = []
        self._spent = dict.fromkeys(STAGES, 0.0)
        self._since = time.monotonic()
        self._from: tuple[int, int] | None = None
        self._saved = (0, 0)

    @contextmanager
    def stopwatch(self, stage: str) -> Iterator[None]:
        """Count the time of a stage, for the shares in `time/`."""
        started = time.monotonic()
        yield
        self._spent[stage] += time.monotonic() - started

    def updated(self, metrics: Metrics) -> None:
        self._history.append(metrics)

    def finished(self, episodes: Sequence[Finished]) -> None:
        self._episodes += episodes

    def mark(self, learner: Learner) -> None:
        """Log, evaluate and checkpoint, each if it is due."""
        progress = learner.progress
        if self._from is None:
            self._from = (progress.step, progress.updates)
        if progress.step // self.log_every > progress.logged // self.log_every:
            self.write(learner)
        if progress.updates and progress.step // self.evaluation.every > progress.evaluated // self.evaluation.every:
            self.evaluate(learner)
        if self.checkpoints.due(progress.step):
            self.checkpoint(learner)

    def write(self, learner: Learner) -> None:
        """Send the means since the last time, and what only a look at a batch can say."""
        progress = learner.progress
        values = (
            mean_of(self._history)
            | self._times(learner)
            | {
                "train/updates": progress.updates,
                "train/episodes": progress.episodes,
                "train/replay_steps": len(learner.replay),
            }
        )
        if self._history:
            learner.check(self._history[-1])
            values |= {name: float(value) for name, value in learner.diagnose().items()}
        if self._episodes:
            values["train/return"] = float(np.mean([episode.value for episode in self._episodes]))
            values["train/length"] = float(np.mean([episode.length for episode in self._episodes]))
        progress.logged = progress.step
        self.tracker.metrics(progress.step, {name: float(value) for name, value in values.items()})
        self._history, self._episodes = [], []

    def evaluate(self, learner: Learner) -> Evaluated:
        """Run the evaluation episodes; a better mean than ever before makes the next checkpoint the best."""
        progress = learner.progress
        with self.stopwatch("evaluate"):
            found = self.evaluation.run(agent=learner.agent, runtime=learner.runtime, environment=self.environment, seed=learner.seed)
        progress.evaluated = progress.step
        self.latest = found
        self.tracker.metrics(
            progress.step,
            {
                "eval/return": found.mean,
                "eval/return_std": float(np.std(found.returns)),
                "eval/return_min": min(found.returns),
                "eval/return_max": max(found.returns),
                "eval/length": float(np.mean(found.lengths)),
                "eval/episodes": float(len(found.returns)),
            },
        )
        self._show(learner, found)
        if progress.best is None or found.mean > progress.best:
            progress.best = found.mean
            self.checkpoint(learner, best=True)
        return found

    def checkpoint(self, learner: Learner, *, best: bool = False) -> bool:
        """Write a checkpoint, unless the disk is full: then say so, and go on."""
        with self.stopwatch("checkpoint"):
            try:
                self._save(learner, best=best)
            except UserError as error:
                log.warning("%s Training goes on, and tries again.", error)
                return False
        return True

    def finish(self, learner: Learner, *, evaluate: bool) -> None:
        """The last log, evaluation and checkpoint of a run; what was learned is kept somewhere, also on a full disk."""
        if learner.progress.logged < learner.progress.step:
            self.write(learner)
        if evaluate and learner.progress.evaluated < learner.progress.step and learner.progress.updates:
            self.evaluate(learner)
        self._settle()
        try:
            self._save(learner)
            self.checkpoints.wait()
        except UserError as error:
            raise UserError(f"{error} {_keep_elsewhere(self._contents(learner))}") from error

    def _save(self, learner: Learner, *, best: bool = False) -> None:
        self._saved = (learner.progress.step, learner.progress.updates)
        self.checkpoints.save(learner.progress.step, self._contents(learner), learner.replay.snapshot, best=best)

    def _settle(self) -> None:
        """Wait for the checkpoint being written; one that failed must not stand in the way of what comes after it."""
        try:
            self.checkpoints.wait()
        except UserError as error:
            log.warning("%s", error)

    def rescue(self, learner: Learner) -> None:
        """Checkpoint what was learned before an environment or a disk failed, if it can be."""
        reached = (learner.progress.step, learner.progress.updates)
        if learner.steps is not None and reached > self._saved and self.checkpoint(learner):
            self._settle()

    def diverged(self, error: Diverged, folder: Path) -> UserError:
        """Keep the batch on which numbers were lost, and say where the last good checkpoint is."""
        path = folder / "diverged.pt"
        torch.save({"batch": batch_content(error.batch), "metrics": dict(error.metrics)}, path)
        self.checkpoints.wait()
        good = self.checkpoints.latest
        names = ", ".join(f"{name} = {value}" for name, value in sorted(error.metrics.items()))
        return UserError(
            f"Training stopped because a loss or a gradient is no number: {names}. The batch is in {path}, the last good checkpoint is "
            f"{good or 'none yet'}; resume from it with a smaller learning rate, as in -b 'model/Adam.learning_rate=1e-4'."
        )

    def _contents(self, learner: Learner) -> dict[str, Any]:
        return learner.state_dict() | {"policy": asdict(self.policy)}

    def _times(self, learner: Learner) -> dict[str, float]:
        now, progress = time.monotonic(), learner.progress
        wall = max(now - self._since, 1e-9)
        step, updates = self._from or (progress.step, progress.updates)
        values = {f"time/share_{stage}": seconds / wall for stage, seconds in self._spent.items()}
        values["time/steps_per_second"] = (progress.step - step) / wall
        values["time/updates_per_second"] = (progress.updates - updates) / wall
        values["time/minutes"] = progress.seconds / 60
        if self._history:
            values["time/seconds_per_update"] = self._spent["update"] / len(self._history)
        left = self.seconds_left(learner)
        if left is not None:
            values["time/seconds_left"] = left
        self._spent = dict.fromkeys(self._spent, 0.0)
        self._since, self._from = now, (progress.step, progress.updates)
        return values

    def _show(self, learner: Learner, found: Evaluated) -> None:
        step = learner.progress.step
        if found.frames is not None:
            self.tracker.video("evaluation", step, found.frames, fps=20.0)
        for name, picture in learner.pictures().items():
            self.tracker.picture(name, step, picture.cpu().numpy())


def _keep_elsewhere(contents: dict[str, Any]) -> str:
    """Put what was learned on another disk if there is one with room."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="dream-"))
        elsewhere = Checkpoints(every=1, folder=folder)
        elsewhere.save(int(contents["progress"]["step"]), contents)
        elsewhere.wait()
    except (OSError, UserError):
        return "It could not be written anywhere else either."
    return f"What was learned is in {elsewhere.latest}, without the replay."
