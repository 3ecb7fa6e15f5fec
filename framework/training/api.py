"""The functions of the package: compose a recipe, find a run, resume it, evaluate it, load its policy."""

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import cast

from framework import composition
from framework.composition import Overrides
from framework.errors import UserError
from framework.tracking import sync as mirrors
from framework.tracking.runs import RunRecord, open_run
from framework.training.checkpoint_folders import find
from framework.training.evaluation import Evaluated
from framework.training.job import launched
from framework.training.lock import run_lock
from framework.training.manifest import PROGRESS
from framework.training.policy import Policy, read_policy
from framework.training.result import Result
from framework.training.run import CHECKPOINTS, Run
from framework.training.runtime import Runtime


def compose(recipe: str | Path, bindings: Overrides = (), *, imports: Iterable[str] = (), trust: bool = False) -> Run:
    """Turn a recipe into a run: `framework.compose("quickstart", {"Run.seed": 1}).train()`.

    Bindings are a mapping of Python values, in which a component is a text, `{"InfoNCE.critic": "@critics.CosineCritic"}`, or a list of
    statements as the command line has them, `["Run.seed=1"]`.
    Here and below, `trust` lets a run or a policy that this user did not make run its own code.
    Raises `UserError` with every mistake of the recipe, each with its file and line.
    """
    composed = composition.load(recipe, bindings, imports=imports, root=composition.ROOT, trust=trust)
    return cast(Run, composed.root(composed=composed))


def find_run(run: str, folder: str | Path = "runs") -> Path:
    """The folder of a run, by `latest`, its name, its MLflow id, its folder, or the beginning of either."""
    return open_run(run, Path(folder).absolute()).folder


def find_checkpoint(run: str, checkpoint: str = "best", folder: str | Path = "runs") -> Path:
    """The folder of a checkpoint: of a run by its name, or of a path to the checkpoint itself; without a best one, the latest."""
    if (Path(run) / PROGRESS).is_file():
        return Path(run)
    checkpoints = find_run(run, folder) / CHECKPOINTS
    try:
        return find(checkpoints, checkpoint)
    except UserError:
        if checkpoint != "best":
            raise
        return find(checkpoints, "latest")


def resume(run: str, bindings: Overrides = (), *, checkpoint: str = "latest", folder: str | Path = "runs", trust: bool = False) -> Result:
    """Continue a run from its own folder; bindings may change it, for example `Trainer.steps` to make it longer.

    Bindings become part of the run's recipe with the first checkpoint that is written with them.
    """
    home = find_run(run, folder)
    with run_lock(home) if launched().rank == 0 else nullcontext():
        settings = [f"Tracking.folder={str(home.parent)!r}", *composition.statements(bindings)]
        return compose(home / "resolved.gin", settings, trust=trust).resume(home, checkpoint)


def sync(run: str, *, folder: str | Path = "runs") -> tuple[RunRecord, int]:
    """Send to MLflow what it lacks of a run that is not being trained; returns its record, and how many events MLflow refused."""
    record = open_run(run, Path(folder).absolute())
    with run_lock(record.folder):
        return mirrors.sync(record)


def evaluate(
    run: str,
    bindings: Overrides = (),
    *,
    checkpoint: str = "best",
    episodes: int | None = None,
    seed: int | None = None,
    folder: str | Path = "runs",
    trust: bool = False,
) -> Evaluated:
    """The returns of a run's policy, or of a checkpoint's by its path, in fresh environments; by default the run's own episodes."""
    path = find_checkpoint(run, checkpoint, folder).absolute()
    return compose(path.parents[1] / "resolved.gin", bindings, trust=trust).evaluate(path, episodes=episodes, seed=seed)


def load_policy(
    run: str | Path, *, checkpoint: str = "best", folder: str | Path = "runs", device: str = "auto", trust: bool = False
) -> Policy:
    """The policy of a run or of a checkpoint, ready for `reset()` and `act(observation)`."""
    return read_policy(find_checkpoint(str(run), checkpoint, folder), Runtime(device=device), trust=trust)
