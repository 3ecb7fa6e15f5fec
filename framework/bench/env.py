"""`dream bench env`: environments that take random actions, without an agent."""

import numpy as np
import torch

from framework.bench import machine
from framework.bench.clock import USUAL, Effort, Progress, clocked, silent
from framework.bench.report import Report, Row
from framework.bench.subject import SEED
from framework.training.run import Run
from framework.vector_environments.base import VectorEnvironment
from framework.vector_environments.worker_environments import Mode

CPU = torch.device("cpu")


def measure(run: Run, effort: Effort = USUAL, progress: Progress = silent) -> Report:
    """A row for one environment in this process, and one for as many worker processes as the run has."""
    rows = [_row(run, 1, "serial", effort, progress)]
    if run.environments > 1:
        rows.append(_row(run, run.environments, "process", effort, progress))
    return Report(
        command="env",
        title=f"Steps of {run.composed.recipe.stem}'s environment with random actions, images rendered.",
        rows=rows,
        setting=setting(run),
    )


def setting(run: Run) -> dict[str, object]:
    """What the numbers hold for; the environment's own settings among it."""
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
        times = clocked(lambda: vector.step(vector.random_actions(random)), CPU, effort, name, progress)
        return Row(name, {**times.milliseconds(), **speeds(vector, len(times.seconds) / sum(times.seconds))})


def speeds(vector: VectorEnvironment, steps_per_second: float) -> dict[str, float]:
    """Of all environments together: observations, which are images where the recipe has images, and environment steps."""
    frames = vector.count * steps_per_second
    return {"observations_per_second": frames, "environment_steps_per_second": frames * vector.action_repeat}
