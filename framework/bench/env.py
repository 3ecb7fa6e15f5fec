"""`dream bench env`: environments that take random actions, without an agent."""

from collections.abc import Callable

import numpy as np

from framework.bench.setup import SEED, environments_named, setting
from framework.measurement.report import Progress, Report, Row, silent
from framework.measurement.resources import USUAL, Effort, timed
from framework.training.run import Run
from framework.vector_environments.base import VectorEnvironment
from framework.vector_environments.worker_environments import Mode


def measure(run: Run, effort: Effort = USUAL, progress: Progress = silent) -> Report:
    """A row for one environment in this process, and one for the worker processes of the run if it has several environments.

    Where a recipe binds `Run.vector`, that class steps the environments of both rows, and names them.
    """
    modes: dict[int, Mode] = {1: "serial", run.environments: "process" if run.environments > 1 else "serial"}
    return Report(
        command="env",
        kind="env",
        title=f"Steps of {run.composed.recipe.stem}'s environment with random actions, images rendered.",
        rows=[_row(run, count, mode, effort, progress) for count, mode in modes.items()],
        setting=setting(run),
    )


def _row(run: Run, count: int, mode: Mode, effort: Effort, progress: Progress) -> Row:
    random = np.random.default_rng(SEED)
    with run.vector(count, mode=mode) as vector:
        vector.reset()
        way = mode if run.composed.root.keywords.get("vector") is None else type(vector).__name__
        name = f"{environments_named(count)}, {way}"
        return timed_steps(name, vector, lambda: vector.step(vector.random_actions(random)), effort, progress)


def timed_steps(name: str, vector: VectorEnvironment, step: Callable[[], object], effort: Effort, progress: Progress) -> Row:
    """Observations (images where the recipe has images) and environment steps of all environments together."""
    progress(0, 1, name)
    times = timed(step, effort)
    speed = vector.count / times.mean
    speeds = {"observations_per_second": speed, "environment_steps_per_second": speed * vector.action_repeat}
    return Row(name, times.milliseconds() | speeds)
