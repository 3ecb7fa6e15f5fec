"""`dream bench env`: environments that take random actions, without an agent; `dream bench collect`: with the actor, as in a run."""

import numpy as np

from framework.bench import machine
from framework.bench.subject import SEED
from framework.measurement.report import Progress, Report, Row, Value, silent
from framework.measurement.timing import USUAL, Effort, Times, timed
from framework.training.run import Run
from framework.vector_environments.base import VectorEnvironment
from framework.vector_environments.worker_environments import Mode


def measure(run: Run, effort: Effort = USUAL, progress: Progress = silent) -> Report:
    """A row for one environment in this process, and one for the worker processes of the run if it has several environments."""
    rows = [_row(run, 1, "serial", effort, progress)]
    if run.environments > 1:
        rows.append(_row(run, run.environments, "process", effort, progress))
    return Report(
        command="env",
        kind="env",
        title=f"Steps of {run.composed.recipe.stem}'s environment with random actions, images rendered.",
        rows=rows,
        setting=setting(run),
    )


def measure_collecting(run: Run, effort: Effort = USUAL, progress: Progress = silent) -> Report:
    """One row, for the number of environments of the run: acting, stepping and storing."""
    with run.vector(run.environments, mode="process" if run.environments > 1 else "serial") as vector:
        learner = run.learner(vector, None)
        run.runtime.prepare_process(learner.agent)
        learner.begin()
        name = f"{vector.count} environment{'s' if vector.count > 1 else ''}"
        progress(0, 1, name)
        times = timed(lambda: learner.collect(randomly=False), effort)
        row = Row(name, times.milliseconds() | _speeds(vector, times))
    title = f"Collecting with the fresh policy of {run.composed.recipe.stem}."
    return Report(command="collect", kind="collect", title=title, rows=[row], setting=setting(run))


def setting(run: Run) -> dict[str, object]:
    """The recipe, the settings of its environment, and the machine."""
    environment = run.composed.root.node.child("environment")
    own = {f"{environment.key}.{name}": each.text for name, each in environment.settings.items()}
    return {
        "recipe": run.composed.recipe.stem,
        "bindings": list(run.composed.overrides),
        "environments": run.environments,
        "environment": own,
        **machine.facts(run.runtime.device),
    }


def _row(run: Run, count: int, mode: Mode, effort: Effort, progress: Progress) -> Row:
    random = np.random.default_rng(SEED)
    with run.vector(count, mode=mode) as vector:
        vector.reset()
        name = f"{count} environment{'s' if count > 1 else ''}, {mode}"
        progress(0, 1, name)
        times = timed(lambda: vector.step(vector.random_actions(random)), effort)
        return Row(name, times.milliseconds() | _speeds(vector, times))


def _speeds(vector: VectorEnvironment, times: Times) -> dict[str, Value]:
    """Observations (images where the recipe has images) and environment steps of all environments together."""
    frames = vector.count / times.mean
    return {"observations_per_second": frames, "environment_steps_per_second": frames * vector.action_repeat}
