"""The schedule of collecting, updating and stopping."""

import time
from collections.abc import Callable
from typing import Final, Literal, final

from framework.errors import UserError
from framework.functional import ranks
from framework.registry import parts
from framework.training.interrupt import Interrupt
from framework.training.learner import Learner, Progress
from framework.training.run_logger import RunLogger

ROUNDING: Final = 1e-9
"""The share of an update that sums of fractions may lack."""


@final
@parts.register
class Trainer:
    """Collects `prefill` environment steps with random actions, makes `pretrain` updates, then trains up to `steps` in all.

    `train_ratio` is the number of replayed time steps trained on per environment step, so that papers compare: Dreamer V1 makes 100
    updates of 50 x 50 every 1,000 steps, which is 250. Updates come in bursts, every `train_every` environment steps, and begin when
    the replay holds one sequence; after a resume with other settings they are counted from its first step. `updates` ends the run sooner,
    after that many, those of `pretrain` counted; `minutes` bounds the wall-clock of training, evaluations included, over every resume, and
    the last evaluation may take a tenth more (None: no bound). Whichever is reached first ends the run.

    `schedule = 'alternating'`, as in papers: update, act, step, store; environments wait for updates, and updates for them.
    `'overlapped'`: act, start the step, update, store; environments step in worker processes during the updates that are due. The
    actions in flight were chosen before those updates, which sample the replay without that step. Both orders depend on the counters
    alone, so that two runs of one seed are equal. Only a step with updates due is hidden behind them: bind `train_every = 1`, which
    spreads updates evenly, and `Run.environments` of at least `Replay.batch * Replay.length / (train_ratio * action repeat)`.

    Where several ranks train, environment steps are those of all ranks, and an update trains on the time steps of all.
    """

    def __init__(
        self,
        *,
        steps: int,
        prefill: int = 5_000,
        pretrain: int = 0,
        train_ratio: float = 250.0,
        train_every: int = 1_000,
        updates: int | None = None,
        minutes: float | None = None,
        schedule: Literal["alternating", "overlapped"] = "alternating",
    ) -> None:
        if steps < 1 or prefill < 0 or pretrain < 0 or train_every < 1:
            raise UserError(
                f"Trainer.steps = {steps} and Trainer.train_every = {train_every} must be at least 1, "
                f"Trainer.prefill = {prefill} and Trainer.pretrain = {pretrain} at least 0."
            )
        if updates is not None and updates < max(1, pretrain):
            least = f"Trainer.pretrain = {pretrain}, whose updates it counts" if pretrain else "1"
            remedy = "bind more, or a smaller Trainer.pretrain" if pretrain else "bind more"
            raise UserError(f"Trainer.updates = {updates} must be at least {least}; {remedy}.")
        if train_ratio < 0 or (minutes is not None and minutes <= 0):
            raise UserError(f"Trainer.train_ratio = {train_ratio} must not be negative, and Trainer.minutes = {minutes} not be 0 or less.")
        self.steps, self.prefill, self.pretrain = steps, prefill, pretrain
        self.train_ratio, self.train_every = train_ratio, train_every
        self.updates, self.minutes = updates, minutes
        self.schedule = schedule

    def run(self, *, learner: Learner, run_logger: RunLogger, interrupt: Interrupt) -> None:
        """Train until the end, the bound or an interrupt. Updates that are due at an interrupt are made after a resume."""
        started = time.monotonic() - learner.progress.seconds
        stop = self.stop(learner, interrupt)
        if learner.steps is None:
            learner.begin()
            run_logger.checkpoint(learner)
            run_logger.settle()  # before the first step, so that a run that is killed from here on can be resumed
        else:
            run_logger.episodes += learner.catch_up()
        while True:
            if self.schedule == "overlapped":
                self._act(learner, run_logger)
            stopping = self._stopping(learner, interrupt, started)
            while self.due(learner) and not stopping:
                with run_logger.stopwatch("update"):
                    run_logger.updates.append(learner.update())
                stopping = self._stopping(learner, interrupt, started)
            if stopping or self.over(learner):
                break
            run_logger.mark(learner, stop)
            self._act(learner, run_logger)
            with run_logger.stopwatch("step"):
                run_logger.episodes += learner.receive()

    def due(self, learner: Learner) -> int:
        """The number of updates due; a function of the counters alone, so that a resumed run continues exactly."""
        progress, replay = learner.progress, learner.replay
        self._count(progress, update=learner.update_size)
        if progress.step < self.prefill or len(replay) < replay.length * learner.vector.count:
            return 0
        due = max(0, int(progress.owed / learner.update_size + ROUNDING))
        return due if self.updates is None else min(due, max(0, self.updates - progress.updates))

    def _count(self, progress: Progress, *, update: int) -> None:
        """Add what the environment steps since the last count are worth; an update trains on `update` time steps."""
        reached = progress.step // self.train_every * self.train_every
        progress.owed += self.train_ratio * max(0, reached - max(progress.counted, self.prefill))
        progress.counted = max(progress.counted, reached)
        if progress.step >= self.prefill and not progress.pretrained:
            progress.owed += self.pretrain * update
            progress.pretrained = True

    def check(self, *, length: int, environments: int, action_repeat: int) -> None:
        """Raise `UserError` where the run would end before the replay holds what its first update takes."""
        sequence = length * environments * action_repeat
        if self.steps < max(self.prefill, sequence):
            raise UserError(
                f"Trainer.steps = {self.steps} end before the first update: the prefill takes {self.prefill} environment steps, and one "
                f"sequence of Replay.length = {length} takes {sequence} in {environments} environments with an action repeat of "
                f"{action_repeat}; bind more Trainer.steps, or a smaller Trainer.prefill and Replay.length."
            )

    def over(self, learner: Learner) -> bool:
        """Whether the steps or the updates are used up."""
        out_of_updates = self.updates is not None and learner.progress.updates >= self.updates
        return learner.progress.step >= self.steps or out_of_updates

    def _stopping(self, learner: Learner, interrupt: Interrupt, started: float) -> bool:
        """Whether an interrupt of any rank, or the bound on the wall-clock of any, stops all, after the same update."""
        learner.progress.seconds = time.monotonic() - started
        interrupted, late = ranks.totals(interrupt.requested, self.seconds_left(learner) == 0.0)
        if interrupted and not interrupt.requested:
            interrupt.requested, interrupt.name = True, "a signal to another rank"
        return interrupted + late > 0

    def stop(self, learner: Learner, interrupt: Interrupt, *, share: float = 1.0) -> Callable[[], bool]:
        """Tells whether an interrupt, or a share of the bound on the wall-clock, ends what is being done."""
        started, bound = time.monotonic() - learner.progress.seconds, None if self.minutes is None else 60 * share * self.minutes
        return lambda: interrupt.requested or (bound is not None and time.monotonic() - started >= bound)

    def seconds_left(self, learner: Learner) -> float | None:
        """Seconds until the bound on the wall-clock; None without one."""
        return None if self.minutes is None else max(0.0, 60 * self.minutes - learner.progress.seconds)

    def _act(self, learner: Learner, run_logger: RunLogger) -> None:
        """Start the next step, if none is in flight."""
        with run_logger.stopwatch("act"):
            learner.send(randomly=learner.progress.step < self.prefill)
