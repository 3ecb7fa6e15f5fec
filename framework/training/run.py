"""A run: a composed recipe that can be trained, resumed and evaluated. The root of every recipe."""

import logging
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, final

import numpy as np

from framework.agent import Agent
from framework.composition import Composition
from framework.composition.modules import CODE
from framework.data import Factory, Pictures, Specs
from framework.environments.base import Environment
from framework.environments.server import try_out
from framework.errors import UserError
from framework.registry import parts
from framework.replay.chunks import INDEX
from framework.replay.replay import Replay
from framework.tracking.base import PolicyEvent, Status, Tracker
from framework.tracking.tracking import Tracking
from framework.training import checkpoints as saved
from framework.training.changes import announcement, changed_settings, explained_by, require_fit
from framework.training.checkpoints import Checkpoints
from framework.training.checks import require_sound
from framework.training.evaluation import Evaluated, Evaluation
from framework.training.faults import Faults
from framework.training.interrupt import Interrupt
from framework.training.learner import LOOKING, Diverged, Learner, Progress
from framework.training.policy import Policy, PolicyRecipe, build_agent, export_policy
from framework.training.run_logger import RunLogger
from framework.training.runtime import Runtime, derive
from framework.training.trainer import Trainer
from framework.vector_environments.base import VectorEnvironment, specs_of
from framework.vector_environments.worker_environments import Mode, WorkerEnvironments

ENVIRONMENTS, REPLAY, AGENT = 10, 11, 12
LAST_EVALUATION = 1.1
"""The share of `Trainer.minutes` after which the last evaluation is given up."""
CHECKPOINTS, POLICY = "checkpoints", "policy"

log = logging.getLogger(__name__)


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


@final
@parts.register
class Run:
    """Everything that a recipe binds. `seed` determines the whole run; `environments` step together, by default in worker processes.

    An environment that raises, dies, has no answer after `environment_timeout` seconds (a bound `vector` has a limit of its own), or gives
    nan or another shape than it declared, is replaced: its episode ends there, a checkpoint is written, and a fresh one begins the next
    episode. After `max_environment_errors` of one environment in a row, with no end of an episode between them, the run stops.

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
        if environments < 1 or log_every < 1 or seed < 0:
            raise UserError(
                f"Run.environments = {environments} and Run.log_every = {log_every} must be at least 1, Run.seed = {seed} at least 0."
            )
        if environment_timeout <= 0 or max_environment_errors < 1:
            raise UserError(
                f"Run.environment_timeout = {environment_timeout} must be more than 0 seconds, and Run.max_environment_errors = "
                f"{max_environment_errors} at least 1, which stops at the first error."
            )
        self.environment_timeout, self.max_environment_errors = environment_timeout, max_environment_errors
        self.composed, self.seed, self.environments, self.log_every = composed, seed, environments, log_every
        self.environment, self.agent_factory, self.replay, self._vector = environment, agent, replay, vector
        self.trainer: Trainer = trainer()
        self.evaluation: Evaluation = evaluation()
        self.tracking: Tracking = tracking()
        self.runtime: Runtime = runtime()
        self._checkpoints = checkpoints

    def train(self) -> Result:
        """Train a new run, in a new folder; a run that is refused before it begins leaves none behind."""
        require_sound(self)
        try_out(self.environment)
        folder = self.tracking.new_run_folder(recipe=self.composed.recipe.stem, seed=self.seed)
        try:
            self.composed.write(folder)
            return self._run(folder)
        except BaseException:
            self.tracking.discard_unbegun(folder)
            raise

    def resume(self, folder: Path, checkpoint: str = "latest") -> Result:
        """Continue the run in a folder from one of its checkpoints, exactly as if it had never stopped."""
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
            faults=Faults(most=self.max_environment_errors),
        )
        assert evaluated is not None, "nothing stops it"
        return evaluated

    def pictures(self, checkpoint: Path, *, seed: int = 0, extra: int = 0) -> Pictures:
        """Pictures of a checkpoint's agent, by name, on a batch that the seed draws from the checkpoint's own replay.

        `extra` single steps are drawn beside the batch, or `Replay.extra` if that is more.
        """
        if not (checkpoint / saved.REPLAY / INDEX).is_file():
            raise UserError(f"The checkpoint {checkpoint} has no replay to draw images from; give another, as in --checkpoint latest.")
        agent, device = self._restored(checkpoint), self.runtime.device
        replay: Replay = self.replay(specs=agent.specs, streams=self.environments, device=device, seed=0, storage="memory")
        replay.load(checkpoint / saved.REPLAY)
        replay.reseed(derive(seed, REPLAY))
        replay.extra = max(replay.extra, extra)
        with self.runtime.autocast():
            return agent.pictures(replay.sample(), self.runtime.generator(seed, LOOKING))

    def agent(self, shown: Specs | None = None) -> Agent:
        """A new agent, for the given specs or those of the run's environment."""
        return build_agent(self.agent_factory, shown or self.specs(), self.runtime, derive(self.seed, AGENT))

    def _restored(self, checkpoint: Path) -> Agent:
        """The agent of a checkpoint."""
        _, contents = saved.read(checkpoint)
        agent = self.agent(PolicyRecipe(**contents["policy"]).specs())
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
        return vector(environment=self.environment, count=count, seed=derive(self.seed, ENVIRONMENTS))

    def learner(self, vector: VectorEnvironment, folder: Path | None) -> Learner:
        """The state of a training, before its first step."""
        replay = self.replay(
            specs=vector.specs,
            streams=vector.count,
            device=self.runtime.device,
            seed=derive(self.seed, REPLAY),
            folder=folder / "replay" if folder else None,
        )
        faults = Faults(most=self.max_environment_errors)
        return Learner(agent=self.agent(vector.specs), runtime=self.runtime, vector=vector, replay=replay, seed=self.seed, faults=faults)

    def _run(self, folder: Path, checkpoint: str | None = None) -> Result:
        """Train in a folder, from the beginning or from a checkpoint."""
        checkpoints: Checkpoints = self._checkpoints(folder=folder / CHECKPOINTS)
        in_workers = self.environments > 1 or self.trainer.schedule == "overlapped"
        with Interrupt() as interrupt, self.vector(self.environments, mode="process" if in_workers else "serial") as vector:
            learner = self.learner(vector, folder)
            learner.faults.interrupted = interrupt.is_requested
            self.runtime.prepare_process(learner.agent)
            self.trainer.check(length=learner.replay.length, environments=vector.count, action_repeat=vector.action_repeat)
            if checkpoint is not None:
                self._load(learner, checkpoints, checkpoint)
            with interrupt.stopping():
                tracker = self.tracking.start(
                    run_folder=folder,
                    total_steps=self.trainer.steps,
                    parameters=self.composed.parameters(),
                    tags=self._tags(learner),
                    files=sorted([*folder.glob("*.gin"), *folder.glob("*.txt"), *(folder / CODE).rglob("*.py")]),
                    resume_step=None if checkpoint is None else learner.progress.step,
                )
            return self._train(learner, self.run_logger(learner, tracker, checkpoints), folder, interrupt)

    def _load(self, learner: Learner, checkpoints: Checkpoints, which: str) -> None:
        step, contents = checkpoints.load(which)
        changes = changed_settings(contents["settings"], self.composed.parameters())
        with explained_by(changes):
            learner.replay.load(checkpoints.replay_folder(step))
            learner.load_state_dict(contents)
        if changes:
            log.warning(announcement(step, changes, pretrained=learner.progress.pretrained))

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
            run_logger.finish(learner, evaluate=not interrupt.requested, stop=stop)
            if not interrupt.requested:
                self._log_policies(learner, run_logger, folder / POLICY)
            status = "FINISHED"
        except Diverged as error:
            raise run_logger.diverged(error, folder) from error
        except UserError:
            run_logger.rescue(learner)
            raise
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            status = close_tracker(run_logger.tracker, status, interrupt)
        return Result(
            folder=folder,
            run_id=run_logger.tracker.run_id,
            url=run_logger.tracker.url,
            status=status,
            progress=learner.progress,
            evaluated=run_logger.latest,
            latest=run_logger.checkpoints.latest,
            best=run_logger.checkpoints.best,
        )

    def _log_policies(self, learner: Learner, run_logger: RunLogger, folder: Path) -> None:
        """Export the policies of the latest and the best checkpoint, and record them."""
        shutil.rmtree(folder, ignore_errors=True)
        shown = learner.vector.specs.observation
        example = {name: np.zeros((2, *spec.shape), spec.dtype) for name, spec in shown.items()}
        action = Policy(agent=learner.agent, runtime=self.runtime, seed=self.seed).act(example)
        paths = {"latest": run_logger.checkpoints.latest, "best": run_logger.checkpoints.best}
        for checkpoint in {path for path in paths.values() if path}:
            aliases = [name for name, path in paths.items() if path == checkpoint]
            exported = export_policy(checkpoint, folder / checkpoint.name)
            step, _ = saved.read(exported)
            run_logger.tracker.record(PolicyEvent(exported, step, run_logger.policy.requirements, example, action, aliases))

    def _tags(self, learner: Learner) -> dict[str, str]:
        return {
            "seed": str(self.seed),
            "device": str(self.runtime.device),
            "recipe": self.composed.recipe.name,
            "parameters": ", ".join(f"{name} {count:,}" for name, count in learner.agent.parameter_count().items()),
        }


def close_tracker(tracker: Tracker, status: Status, interrupt: Interrupt) -> Status:
    """Close a tracker; after an interrupt as KILLED, and soon. Returns the status that was recorded."""
    try:
        with interrupt.stopping():
            tracker.close(status)
    except KeyboardInterrupt:
        status = "KILLED"
        tracker.close(status)
    return status
