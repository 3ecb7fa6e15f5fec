"""A run: a composed recipe that can be trained, resumed and evaluated. The root of every recipe."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, final

from framework.agent import Agent
from framework.composition import Composition
from framework.composition.modules import CODE
from framework.data import Factory, Pictures
from framework.environments.base import Environment
from framework.environments.server import try_out
from framework.errors import UserError
from framework.functional import ranks
from framework.registry import parts
from framework.replay.chunks import INDEX
from framework.replay.replay import Replay
from framework.specs import Specs
from framework.tracking import jsonl
from framework.tracking.base import NoTracker, Status, Tracker
from framework.tracking.tracking import Tracking
from framework.training import checkpoints as saved
from framework.training.changes import announcement, changed_settings, explained_by, require_fit
from framework.training.checkpoints import Checkpoints
from framework.training.checks import require_sound
from framework.training.evaluation import Evaluated, Evaluation
from framework.training.interrupt import Interrupt, close_tracker
from framework.training.job import first, joined, own_seed
from framework.training.learner import LOOKING, Diverged, Learner
from framework.training.lock import run_lock
from framework.training.policy import PolicyRecipe, build_agent
from framework.training.result import Result
from framework.training.run_logger import RunLogger
from framework.training.runtime import Runtime, derive
from framework.training.tags import described, tags_of
from framework.training.tolerance import Tolerance
from framework.training.trainer import Trainer
from framework.vector_environments.base import VectorEnvironment, specs_of
from framework.vector_environments.worker_environments import MOST_WORKERS, Mode, WorkerEnvironments

ENVIRONMENTS, REPLAY, AGENT = 10, 11, 12
LAST_EVALUATION = 1.1
"""The share of `Trainer.minutes` after which the last evaluation is given up."""
CHECKPOINTS, POLICY = "checkpoints", "policy"
RECIPE_FILES = ("*.gin", "*.txt", f"{CODE}/**/*.py")
"""The files of a run's folder that its recipe consists of."""

log = logging.getLogger(__name__)


@final
@parts.register
class Run:
    """Everything that a recipe binds. `seed` determines the whole run; `environments` step together, by default in worker processes.

    An environment that fails, or has no answer after `environment_timeout` seconds (a bound `vector` has a limit of its own), is replaced
    (see `Tolerance`); `max_environment_errors` of one environment in a row stop the run, with a checkpoint.

    The constructor has no side effects: environments, agent and folder are made by `train`, `resume` or `evaluate`, and the process is
    changed by `train` and `resume` alone.
    """

    derived: ClassVar[tuple[str, ...]] = ("composed",)

    def __init__(
        self,
        *,
        composed: Composition,
        environment: Factory[Environment],
        agent: Factory[Agent],
        replay: Factory[Replay],
        trainer: Factory[Trainer],
        evaluation: Factory[Evaluation],
        checkpoints: Factory[Checkpoints],
        tracking: Factory[Tracking],
        runtime: Factory[Runtime],
        vector: Factory[VectorEnvironment] | None = None,
        seed: int = 0,
        environments: int = 1,
        environment_timeout: float = 120.0,
        max_environment_errors: int = 3,
        log_every: int = 1_000,
    ) -> None:
        if min(environments, max_environment_errors, log_every) < 1 or seed < 0 or environment_timeout <= 0:
            raise UserError(
                f"Run.environments = {environments}, Run.max_environment_errors = {max_environment_errors} and Run.log_every = {log_every} "
                f"must be at least 1, Run.seed = {seed} at least 0, Run.environment_timeout = {environment_timeout} more than 0 seconds."
            )
        self.environment_timeout, self.max_environment_errors = environment_timeout, max_environment_errors
        if vector is None and environments > MOST_WORKERS:
            raise UserError(
                f"Run.environments = {environments} must be at most {MOST_WORKERS}: each is a process; for more, bind a batched simulator "
                "to Run.vector."
            )
        self.composed, self.seed, self.environments, self.log_every = composed, seed, environments, log_every
        self.environment, self.agent_factory, self.replay, self._vector = environment, agent, replay, vector
        self.trainer: Trainer = trainer()
        self.evaluation: Evaluation = evaluation()
        self.tracking: Tracking = tracking()
        self.runtime: Runtime = runtime()
        self.checkpoint_factory = checkpoints

    def __repr__(self) -> str:
        return described(self)

    def train(self) -> Result:
        """Train a new run, in a new folder; a run that is refused before it begins leaves none behind.

        Under `torchrun` the processes train one agent together.
        """
        with joined(self.runtime):
            require_sound(self)
            try_out(self.environment)
            folder = first(partial(self.tracking.new_run_folder, recipe=self.composed.recipe.stem, seed=self.seed))
            try:
                first(partial(self.composed.write, folder))
                return self._run(folder)
            except BaseException:
                if ranks.rank() == 0:
                    self.tracking.discard_unbegun(folder)
                raise

    def resume(self, folder: Path, checkpoint: str = "latest") -> Result:
        """Continue the run in a folder from one of its checkpoints, exactly as if it had never stopped.

        The recipe in the folder becomes this one with the first checkpoint that is written, which is at once where settings changed and
        no later checkpoint is given up.
        """
        with joined(self.runtime):
            try_out(self.environment)
            return self._run(folder, checkpoint)

    def evaluate(self, checkpoint: Path, *, episodes: int | None = None, seed: int | None = None) -> Evaluated:
        """The returns of a checkpoint's policy, in fresh environments."""
        evaluated = self.evaluation.run(
            agent=self._restored(checkpoint),
            runtime=self.runtime,
            environment=self.environment,
            seed=self.seed if seed is None else seed,
            episodes=episodes,
            timeout=self.environment_timeout,
            tolerance=Tolerance(most=self.max_environment_errors),
        )
        assert evaluated is not None, "nothing stops it"
        return evaluated

    def pictures(self, checkpoint: Path, *, seed: int = 0, extra_candidates: int = 0) -> Pictures:
        """Pictures of a checkpoint's agent, by name, on a batch that the seed draws from the checkpoint's own replay.

        `extra_candidates` single steps are drawn beside the batch, or `Replay.extra_candidates` if that is more.
        """
        if not (checkpoint / saved.REPLAY / INDEX).is_file():
            raise UserError(f"The checkpoint {checkpoint} has no replay to draw images from; give another, as in --checkpoint latest.")
        saved.require_whole_replay(checkpoint)
        agent, device = self._restored(checkpoint), self.runtime.device
        replay: Replay = self.replay(specs=agent.specs, streams=self.environments, device=device, seed=0, storage="memory")
        replay.load(checkpoint / saved.REPLAY)
        replay.reseed(derive(seed, REPLAY))
        replay.extra_candidates = max(replay.extra_candidates, extra_candidates)
        with self.runtime.autocast():
            return agent.pictures(replay.sample(), self.runtime.generator(seed, LOOKING))

    def agent(self, specs: Specs | None = None) -> Agent:
        """A new agent, for the given specs or those of the run's environment."""
        return build_agent(self.agent_factory, specs or self.specs(), self.runtime, derive(self.seed, AGENT))

    def _restored(self, checkpoint: Path) -> Agent:
        """The agent of a checkpoint."""
        _, contents = saved.read(checkpoint)
        agent = self.agent(PolicyRecipe.read(contents, checkpoint).specs())
        settings = contents.get("settings", {})  # which an exported policy does not have
        with explained_by(changed_settings(settings, self.composed.parameters())):
            require_fit(contents["agent"], agent.state_dict())
        agent.load_state_dict(contents["agent"])
        return agent

    def specs(self) -> Specs:
        """The specs of the environment."""
        return specs_of(self.environment)

    def vector(self, count: int, *, mode: Mode) -> VectorEnvironment:
        """The environments that step together: those of `Run.vector`, or workers in this mode."""
        vector = self._vector or partial(WorkerEnvironments, mode=mode, timeout=self.environment_timeout)
        return vector(environment=self.environment, count=count, seed=derive(own_seed(self.seed), ENVIRONMENTS))

    def learner(self, vector: VectorEnvironment | None = None, folder: Path | None = None) -> Learner:
        """The state of a training, before its first step; by default with environments of its own in this process, as a notebook needs."""
        vector = vector or self.vector(self.environments, mode="serial")
        replay = self.replay(
            specs=vector.specs,
            streams=vector.count,
            device=self.runtime.device,
            seed=derive(own_seed(self.seed), REPLAY),
            folder=folder / f"replay-{ranks.rank()}".removesuffix("-0") if folder else None,
        )
        agent, tolerance = self.agent(vector.specs), Tolerance(most=self.max_environment_errors)
        return Learner(agent=agent, runtime=self.runtime, vector=vector, replay=replay, seed=own_seed(self.seed), tolerance=tolerance)

    def _run(self, folder: Path, checkpoint: str | None = None) -> Result:
        """Train in a folder, from the beginning or from a checkpoint, while no other process does."""
        lock = run_lock(folder) if ranks.rank() == 0 else nullcontext()
        checkpoints: Checkpoints = self.checkpoint_factory(folder=folder / CHECKPOINTS)
        in_workers = self.environments > 1 or self.trainer.schedule == "overlapped"
        with lock, Interrupt() as interrupt, self.vector(self.environments, mode="process" if in_workers else "serial") as vector:
            learner = self.learner(vector, folder)
            learner.tolerance.interrupted = lambda: interrupt.requested
            self.runtime.prepare_process(learner.agent)
            self.trainer.check(length=learner.replay.length, environments=vector.count * ranks.size(), action_repeat=vector.action_repeat)
            if checkpoint is not None:
                contents, changed = self._load(learner, checkpoints, checkpoint)
                first(partial(_restore_mirror, folder, checkpoints))
            with interrupt.stopping():
                tracker = self._tracker(learner, folder, checkpoint) if ranks.rank() == 0 else NoTracker()
            run_logger = self.run_logger(learner, tracker, checkpoints)
            if checkpoint is not None:
                run_logger.load_state_dict(contents["logger"], learner)
                run_logger.recipe = {folder / name: text for name, text in self.composed.continuing(folder).items()}
                if changed and checkpoints.source == checkpoints.latest:
                    run_logger.checkpoint(learner)
                    run_logger.settle()
            return self._train(learner, run_logger, folder, interrupt)

    def _tracker(self, learner: Learner, folder: Path, checkpoint: str | None) -> Tracker:
        paths = (path for pattern in RECIPE_FILES for path in folder.glob(pattern))
        return self.tracking.start(
            run_folder=folder,
            total_steps=self.trainer.steps,
            total_updates=self.trainer.updates,
            parameters=self.composed.parameters(),
            tags=tags_of(self, learner.agent, resumed=checkpoint is not None),
            files=sorted(path for path in paths if path.resolve().is_relative_to(folder.resolve())),
            resume_step=None if checkpoint is None else learner.progress.step,
        )

    def _load(self, learner: Learner, checkpoints: Checkpoints, which: str) -> tuple[Mapping[str, Any], bool]:
        """Load a checkpoint; returns its contents, and whether settings changed since."""
        step, contents = checkpoints.load(which)
        changes = changed_settings(contents["settings"], self.composed.parameters())
        with explained_by(changes):
            learner.replay.load(checkpoints.replay)
            learner.load_state_dict(contents)
        if changes and ranks.rank() == 0:
            log.warning(announcement(step, changes, pretrained=learner.progress.pretrained))
        return contents, bool(changes)

    def run_logger(self, learner: Learner, tracker: Tracker, checkpoints: Checkpoints) -> RunLogger:
        """The logger of a training."""
        return RunLogger(
            tracker=tracker,
            evaluation=self.evaluation,
            checkpoints=checkpoints,
            environment=self.environment,
            environment_timeout=self.environment_timeout,
            policy=PolicyRecipe.of(self.composed, learner.vector.specs, self.seed),
            settings=self.composed.parameters(),
            log_every=self.log_every,
            seconds_left=self.trainer.seconds_left,
        )

    def _train(self, learner: Learner, run_logger: RunLogger, folder: Path, interrupt: Interrupt) -> Result:
        status: Status = "FAILED"
        try:
            self.trainer.run(learner=learner, run_logger=run_logger, interrupt=interrupt)
            stop = self.trainer.stop(learner, interrupt, share=LAST_EVALUATION)
            run_logger.finish(learner, evaluate=not any(ranks.totals(interrupt.requested)), stop=stop)
            if ranks.rank() == 0:
                jsonl.drop_copies(folder, but=run_logger.checkpoints.number)
            if ranks.rank() == 0 and not interrupt.requested:
                run_logger.record_policies(learner, folder / POLICY)
            status = "FINISHED"
        except Diverged as error:
            raise run_logger.diverged(error, learner, folder) from error
        except UserError:
            if ranks.size() == 1:  # other ranks may be elsewhere, and a checkpoint needs all
                run_logger.rescue(learner)
            raise
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            status = close_tracker(run_logger.tracker, status, interrupt)
        tracker, kept = run_logger.tracker, run_logger.checkpoints
        return Result(
            folder, tracker.run_id, tracker.url, status, learner.progress, run_logger.latest, kept.latest, kept.best, interrupt.name
        )


def _restore_mirror(folder: Path, checkpoints: Checkpoints) -> None:
    """Bring the mirror back to the checkpoint that was loaded."""
    jsonl.restore_copy(folder, checkpoints.number)
    if checkpoints.source != checkpoints.latest:
        jsonl.keep_copy(folder, checkpoints.number)
