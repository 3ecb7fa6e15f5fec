"""A run: a composed recipe that can be trained, resumed, evaluated. The root of every recipe."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast, final

import numpy as np

from framework import composition
from framework.agent import Agent
from framework.composition import Composition
from framework.data import Factory, Pictures, Specs
from framework.environments.base import Environment
from framework.environments.vector import Mode, VectorEnvironment
from framework.errors import UserError
from framework.registry import parts
from framework.replay.chunks import INDEX
from framework.replay.replay import Replay
from framework.tracking.base import Status, Tracker
from framework.tracking.tracking import Tracking
from framework.training import checkpoints as saved
from framework.training.checkpoints import Checkpoints
from framework.training.checks import require_sound
from framework.training.evaluation import Evaluated, Evaluation
from framework.training.interrupt import Interrupt
from framework.training.learner import LOOKING, Diverged, Learner, Progress
from framework.training.policy import Policy, PolicyRecipe, build_agent, export_policy, read_policy
from framework.training.run_logger import RunLogger
from framework.training.runtime import Runtime, derive
from framework.training.trainer import Trainer

ENVIRONMENTS, REPLAY, AGENT = 10, 11, 12
CHECKPOINTS, POLICY = "checkpoints", "policy"


@dataclass(frozen=True)
class Result:
    """How a training ended, and where everything is."""

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
    """Everything that a recipe binds. `seed` determines the whole run; several `environments`, or one to overlap, step in workers.

    A run is built without side effects: environments, agent and folder come with `train`, `resume` or `evaluate`.
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
        seed: int = 0,
        environments: int = 1,
        log_every: int = 1_000,
    ) -> None:
        if environments < 1 or log_every < 1 or seed < 0:
            raise UserError(
                f"Run.environments = {environments} and Run.log_every = {log_every} must be at least 1, Run.seed = {seed} at least 0."
            )
        self.composed, self.seed, self.environments, self.log_every = composed, seed, environments, log_every
        self.environment, self.agent_factory, self.replay = environment, agent, replay
        self.trainer: Trainer = trainer()
        self.evaluation: Evaluation = evaluation()
        self.tracking: Tracking = tracking()
        self.runtime: Runtime = runtime()
        self._checkpoints = checkpoints

    def train(self) -> Result:
        """Train a new run, in a folder of its own; what is refused before it begins leaves none behind."""
        require_sound(self)
        folder = self.tracking.new_run_folder(recipe=self.composed.recipe.stem, seed=self.seed)
        self.composed.write(folder)
        try:
            return self._go(folder, resumed=False)
        except UserError:
            self.tracking.discard_unbegun(folder)
            raise

    def resume(self, folder: Path, checkpoint: str = "latest") -> Result:
        """Go on with the run in a folder from one of its checkpoints, exactly as if it had never stopped."""
        return self._go(folder, resumed=True, checkpoint=checkpoint)

    def evaluate(self, checkpoint: Path, *, episodes: int | None = None, seed: int | None = None) -> Evaluated:
        """The returns of a checkpoint's policy, in fresh environments."""
        _, contents = saved.read(checkpoint)
        agent = self.agent(PolicyRecipe(**contents["policy"]).specs())
        agent.load_state_dict(contents["agent"])
        return self.evaluation.run(
            agent=agent,
            runtime=self.runtime,
            environment=self.environment,
            seed=self.seed if seed is None else seed,
            episodes=episodes,
        )

    def pictures(self, checkpoint: Path, *, seed: int = 0, extra: int = 0) -> Pictures:
        """What a checkpoint's agent shows of a batch that the seed draws from the checkpoint's own replay, by name.

        `extra` is as `Replay.extra`, which holds where it is more: single steps drawn beside the batch.
        """
        if not (checkpoint / saved.REPLAY / INDEX).is_file():
            raise UserError(f"The checkpoint {checkpoint} has no replay to draw images from; give another, as in --checkpoint latest.")
        _, contents = saved.read(checkpoint)
        shown = PolicyRecipe(**contents["policy"]).specs()
        agent = self.agent(shown)
        agent.load_state_dict(contents["agent"])
        replay: Replay = self.replay(
            specs=shown, streams=self.environments, device=self.runtime.device, seed=derive(seed, REPLAY), storage="memory"
        )
        replay.load(checkpoint / saved.REPLAY)
        replay.reseed(derive(seed, REPLAY))
        replay.extra = max(replay.extra, extra)
        with self.runtime.autocast():
            return agent.pictures(replay.sample(), self.runtime.generator(seed, LOOKING))

    def agent(self, shown: Specs | None = None) -> Agent:
        """A fresh agent, for the specs of the run's environment if none are given."""
        return build_agent(self.agent_factory, shown or self.specs(), self.runtime, derive(self.seed, AGENT))

    def specs(self) -> Specs:
        """The observations and the action of the environment."""
        with self.vector(1, mode="serial") as vector:
            return vector.specs

    def vector(self, count: int, *, mode: Mode) -> VectorEnvironment:
        """Environments that step together, each in a worker process or all in this one."""
        return VectorEnvironment(factory=self.environment, count=count, seed=derive(self.seed, ENVIRONMENTS), mode=mode)

    def learner(self, vector: VectorEnvironment, folder: Path | None) -> Learner:
        """The moving parts of a training."""
        replay = self.replay(
            specs=vector.specs,
            streams=vector.count,
            device=self.runtime.device,
            seed=derive(self.seed, REPLAY),
            folder=folder / "replay" if folder else None,
        )
        return Learner(agent=self.agent(vector.specs), runtime=self.runtime, vector=vector, replay=replay, seed=self.seed)

    def _go(self, folder: Path, *, resumed: bool, checkpoint: str = "latest") -> Result:
        checkpoints: Checkpoints = self._checkpoints(folder=folder / CHECKPOINTS)
        in_workers = self.environments > 1 or self.trainer.schedule == "overlapped"
        with self.vector(self.environments, mode="process" if in_workers else "serial") as vector:
            learner = self.learner(vector, folder)
            self.trainer.check(length=learner.replay.length, environments=vector.count, action_repeat=vector.action_repeat)
            if resumed:
                step, contents = checkpoints.load(checkpoint)
                learner.replay.load(checkpoints.replay_folder(step))
                learner.load(contents)
            tracker = self.tracking.start(
                run_folder=folder,
                total_steps=self.trainer.steps,
                parameters=self.composed.parameters(),
                tags=self._tags(learner),
                files=sorted(path for path in folder.iterdir() if path.suffix in (".gin", ".py", ".txt")),
                resume_step=learner.progress.step if resumed else None,
            )
            journal = self._journal(learner, tracker, checkpoints)
            return self._supervise(learner, journal, folder)

    def _journal(self, learner: Learner, tracker: Tracker, checkpoints: Checkpoints) -> RunLogger:
        return RunLogger(
            tracker=tracker,
            evaluation=self.evaluation,
            checkpoints=checkpoints,
            environment=self.environment,
            policy=PolicyRecipe.of(self.composed, learner.vector.specs, self.seed),
            log_every=self.log_every,
            seconds_left=self.trainer.seconds_left,
        )

    def _supervise(self, learner: Learner, journal: RunLogger, folder: Path) -> Result:
        status: Status = "FAILED"
        try:
            with Interrupt() as interrupt:
                self.trainer.run(learner=learner, journal=journal, interrupt=interrupt)
                journal.finish(learner, evaluate=not interrupt.requested)
            status = "KILLED" if interrupt.requested else "FINISHED"
            self._log_models(learner, journal, folder / POLICY)
        except Diverged as error:
            raise journal.diverged(error, folder) from error
        except UserError:
            journal.rescue(learner)
            raise
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            journal.tracker.close(status)
        return Result(
            folder=folder,
            run_id=journal.tracker.run_id,
            url=journal.tracker.url,
            status=status,
            progress=learner.progress,
            evaluated=journal.latest,
            latest=journal.checkpoints.latest,
            best=journal.checkpoints.best,
        )

    def _log_models(self, learner: Learner, journal: RunLogger, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        found = {"latest": journal.checkpoints.latest, "best": journal.checkpoints.best}
        for checkpoint in {path for path in found.values() if path}:
            aliases = [name for name, path in found.items() if path == checkpoint]
            self._log_model(learner, journal.tracker, export_policy(checkpoint, folder / checkpoint.name), aliases)

    def _log_model(self, learner: Learner, tracker: Tracker, exported: Path, aliases: Sequence[str]) -> None:
        shown = learner.vector.specs.observation
        example = {name: np.zeros((2, *spec.shape), spec.dtype) for name, spec in shown.items()}
        step, _ = saved.read(exported)
        policy = Policy(agent=learner.agent, runtime=self.runtime, seed=self.seed)
        tracker.model(exported, step=step, observation=example, action=policy.act(example), aliases=aliases)

    def _tags(self, learner: Learner) -> dict[str, str]:
        counts = learner.agent.parameter_count()
        return {
            "seed": str(self.seed),
            "device": str(self.runtime.device),
            "recipe": self.composed.recipe.name,
            "parameters": ", ".join(f"{name} {count:,}" for name, count in counts.items()),
        }


def compose(recipe: str | Path, bindings: Sequence[str] = (), *, imports: Sequence[str] = ()) -> Run:
    """Turn a recipe into a run: `framework.compose("quickstart", ["Run.seed=1"]).train()`.

    Raises `UserError` with every mistake of the recipe, each with its file and line.
    """
    composed = composition.load(recipe, bindings, imports=imports)
    return cast(Run, composed.root(composed=composed))


def find_run(run: str, folder: str | Path = "runs") -> Path:
    """The folder of a run, by `latest`, its name, its MLflow id, its folder, or the beginning of either."""
    return Tracking(folder=str(folder)).open_run(run).folder


def find_checkpoint(run: str, checkpoint: str = "best", folder: str | Path = "runs") -> Path:
    """The folder of a checkpoint: of a run by its name, or of a path to the checkpoint itself."""
    if (Path(run) / saved.PROGRESS).is_file():
        return Path(run)
    checkpoints = find_run(run, folder) / CHECKPOINTS
    names = (checkpoint, "latest") if checkpoint == "best" else (checkpoint,)
    for name in names[:-1]:
        try:
            return saved.find(checkpoints, name)
        except UserError:
            continue
    return saved.find(checkpoints, names[-1])


def resume(run: str, bindings: Sequence[str] = (), *, checkpoint: str = "latest", folder: str | Path = "runs") -> Result:
    """Go on with a run from its own folder; bindings may change it, as `Trainer.steps` to make it longer."""
    found = find_run(run, folder)
    resumed = compose(found / "resolved.gin", [f"Tracking.folder={str(found.parent)!r}", *bindings])
    with (found / "overrides.txt").open("a", encoding="utf-8") as file:
        file.writelines(f"{binding}  # from a resume\n" for binding in bindings)
    return resumed.resume(found, checkpoint)


def evaluate(
    run: str,
    bindings: Sequence[str] = (),
    *,
    checkpoint: str = "best",
    episodes: int | None = None,
    seed: int | None = None,
    folder: str | Path = "runs",
) -> Evaluated:
    """The returns of a run's policy, or of a checkpoint's by its path, in fresh environments; by default the run's own episodes."""
    found = find_checkpoint(run, checkpoint, folder).absolute()
    return compose(found.parents[1] / "resolved.gin", bindings).evaluate(found, episodes=episodes, seed=seed)


def load_policy(run: str | Path, *, checkpoint: str = "best", folder: str | Path = "runs", device: str = "auto") -> Policy:
    """The policy of a run or of a checkpoint, ready for `reset()` and `act(observation)`."""
    return read_policy(find_checkpoint(str(run), checkpoint, folder), Runtime(device=device))
