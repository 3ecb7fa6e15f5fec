"""The records of a run as it trains: metrics, evaluations, pictures, checkpoints."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor

from framework.data import Metrics
from framework.environments.base import Environment
from framework.errors import UserError
from framework.functional import ranks
from framework.tracking.base import MetricsEvent, PictureEvent, PolicyEvent, Tracker, VideoEvent
from framework.training.checkpoints import Checkpoints, read
from framework.training.evaluation import Evaluated, Evaluation, Stop, never
from framework.training.fault import FAULT, save_fault
from framework.training.job import first
from framework.training.learner import Diverged, Finished, Learner
from framework.training.policy import Policy, PolicyRecipe, export_policy
from framework.training.tolerance import Tolerance

STAGES: Final = ("update", "act", "step", "evaluate", "checkpoint")
"""The stages whose share of the time is `time/share_update` and so on; `step` is waiting for environments, and storing."""

log = logging.getLogger(__name__)


@final
class RunLogger:
    """Logs every `log_every` environment steps, evaluates and checkpoints when due.

    `updates` and `episodes` hold the metrics of updates and the finished episodes since the last log; a checkpoint holds them too, so that
    the first line after a resume is that of a run that never stopped. `recipe` has the texts of the run's recipe by their files, which
    are written with each checkpoint where they changed. Every rank of a job has one, whose tracker records on the first alone.

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
        self.recipe: Mapping[Path, str] = {}
        self._saved: tuple[int, int, int] | None = None
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
        ended = sum(each.value for each in self.episodes), sum(each.length for each in self.episodes), len(self.episodes)
        replayed, returns, lengths, episodes = ranks.totals(len(learner.replay), *ended)
        values: dict[str, Any] = {
            **_means(self.updates),
            **self._times(learner),
            "train/updates": progress.updates,
            "train/episodes": progress.episodes,
            "train/environment_errors": progress.environment_errors,
            "train/replay_steps": replayed,
        }
        if self.updates:
            learner.check(self.updates[-1])
            values |= learner.diagnose()
        if episodes:
            values |= {"train/return": returns / episodes, "train/length": lengths / episodes}
        progress.logged = progress.step
        self.tracker.record(MetricsEvent(progress.step, {name: float(value) for name, value in values.items()}))
        self.updates, self.episodes = [], []

    def evaluate(self, learner: Learner, stop: Stop = never) -> None:
        """Run the evaluation episodes, on rank 0; a better mean than ever before makes the next checkpoint the best.

        Where `stop` ends them, nothing is recorded, and a resume evaluates again.
        """
        progress = learner.progress
        mean, errors = first(partial(self._evaluated, learner, stop))
        progress.environment_errors += errors
        if mean is None:
            return
        progress.evaluated = progress.step
        if progress.best is None or mean > progress.best:
            progress.best = mean
            self.checkpoint(learner, best=True)

    def _evaluated(self, learner: Learner, stop: Stop) -> tuple[float | None, int]:
        """The mean return, None where the evaluation was stopped, and the errors of environments in it."""
        progress, tolerance = learner.progress, Tolerance(most=learner.tolerance.most, interrupted=learner.tolerance.interrupted)
        try:
            with self.stopwatch("evaluate"):
                evaluated = self.evaluation.run(
                    agent=learner.agent,
                    runtime=learner.runtime,
                    environment=self.environment,
                    seed=learner.seed,
                    timeout=self.environment_timeout,
                    tolerance=tolerance,
                    stop=stop,
                )
        except UserError:
            progress.environment_errors += tolerance.total
            raise
        if evaluated is None:
            if not tolerance.interrupted():
                log.warning("The evaluation at step %d was not over with Trainer.minutes, and is left out.", progress.step)
            return None, tolerance.total
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
        return evaluated.mean, tolerance.total

    def checkpoint(self, learner: Learner, *, best: bool = False) -> None:
        """Write a checkpoint; on a full disk log a warning."""
        with self.stopwatch("checkpoint"):
            try:
                self._save(learner, best=best)
            except UserError as error:
                log.warning("%s Training goes on, and tries again.", error)

    def finish(self, learner: Learner, *, evaluate: bool, stop: Stop = never) -> None:
        """The last log, evaluation and checkpoint of a run. Raises `UserError` on a full disk.

        Without an evaluation, which is after an interrupt, the log waits for a resume. Where nothing was trained since a checkpoint, there
        is no other, so that a run that only went back to an earlier one keeps the later ones.
        """
        if evaluate and learner.progress.logged < learner.progress.step:
            self.write(learner)
        if evaluate and learner.progress.evaluated < learner.progress.step and learner.progress.updates:
            self.evaluate(learner, stop)
        self._complete(learner)

    def record_policies(self, learner: Learner, folder: Path) -> None:
        """Export the policies of the latest and the best checkpoint into a folder, and record them."""
        shutil.rmtree(folder, ignore_errors=True)
        example = {name: np.zeros((2, *spec.shape), spec.dtype) for name, spec in learner.vector.specs.observation.items()}
        action = Policy(agent=learner.agent, runtime=learner.runtime, seed=learner.seed).act(example)
        paths = {"latest": self.checkpoints.latest, "best": self.checkpoints.best}
        for checkpoint in {path for path in paths.values() if path}:
            aliases = [name for name, path in paths.items() if path == checkpoint]
            exported = export_policy(checkpoint, folder / checkpoint.name)
            step, _ = read(exported)
            self.tracker.record(PolicyEvent(exported, step, self.policy.requirements, example, action, aliases))

    def rescue(self, learner: Learner) -> None:
        """Checkpoint what was trained before an environment or a disk failed, if possible."""
        try:
            if learner.steps is not None:
                self._complete(learner)
        except UserError as error:
            log.warning("%s", error)

    def _complete(self, learner: Learner) -> None:
        """Write what was trained since the last checkpoint. Raises `UserError` where that fails."""
        for _ in range(2):  # once more where that found a damaged file of the replay before
            self.settle()
            if _reached(learner) != self._saved:
                self._save(learner)
        self.checkpoints.wait()

    def diverged(self, error: Diverged, learner: Learner, folder: Path) -> UserError:
        """Keep the update that was not finite; the error to raise names its file and the last good checkpoint."""
        path = folder / FAULT
        try:
            first(partial(save_fault, path, learner=learner, recipe=self.policy, metrics=error.metrics))
            kept = f"The update is in {path}, and `dream replay-fault` makes it again"
            kept += " on the rows of the first rank" if ranks.size() > 1 else ""
        except UserError as refusal:
            kept = f"The update could not be kept ({refusal.message.removesuffix('.')})"
        self.settle()
        names = ", ".join(f"{name} = {value}" for name, value in sorted(error.metrics.items()))
        return UserError(
            f"Training stopped because a loss or a gradient is no number: {names}. {kept}. The last good checkpoint is "
            f"{self.checkpoints.latest or 'none yet'}; resume from it with a smaller learning rate, as in "
            "-b 'model/Adam.learning_rate=1e-4'."
        )

    def _save(self, learner: Learner, *, best: bool = False) -> None:
        self.checkpoints.save(learner.progress.step, self._contents(learner), learner.replay.snapshot, best=best, recipe=self.recipe)
        self._saved = _reached(learner)

    def settle(self) -> None:
        """Wait for the checkpoint being written; if it failed, log that and go on."""
        try:
            self.checkpoints.wait()
        except UserError as error:
            self._saved = None
            log.warning("%s", error)

    def _contents(self, learner: Learner) -> dict[str, Any]:
        return learner.state_dict() | {"policy": asdict(self.policy), "settings": self.settings, "logger": self.state_dict()}

    def state_dict(self) -> dict[str, Any]:
        """The metrics and the episodes since the last log."""
        names = list(self.updates[0]) if self.updates else []
        return {"names": names, "updates": _stacked(self.updates, names), "episodes": [vars(episode) for episode in self.episodes]}

    def load_state_dict(self, content: Mapping[str, Any], learner: Learner) -> None:
        """Continue from a `state_dict`, in a run whose learner was loaded."""
        updates = content["updates"].to(learner.runtime.device)
        self.updates = [dict(zip(content["names"], row.unbind(), strict=True)) for row in updates]
        self.episodes = [Finished(**episode) for episode in content["episodes"]]
        self._saved = _reached(learner)

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
    return dict(zip(names, _stacked(history, names).mean(dim=0).tolist(), strict=True))


def _stacked(history: list[Metrics], names: list[str]) -> Tensor:
    """A row for each update, and a column for each metric."""
    if not history:
        return torch.zeros(0, 0)
    return torch.stack([torch.stack([metrics[name].float() for name in names]) for metrics in history])


def _reached(learner: Learner) -> tuple[int, int, int]:
    """The steps, updates and evaluations that a checkpoint covers."""
    return learner.progress.step, learner.progress.updates, learner.progress.evaluated
