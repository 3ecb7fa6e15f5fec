"""`dream bench act`: from an observation to an action, as the actor does it."""

import numpy as np

from framework.bench.counting import count
from framework.bench.setup import SEED, environments_named, setting, specs_of
from framework.measurement.report import Progress, Report, Row, silent
from framework.measurement.resources import USUAL, Effort, timed
from framework.specs import Specs
from framework.training.actor import Actor
from framework.training.learner import ACTING
from framework.training.run import Run
from framework.vector_environments.base import random_steps


def measure(run: Run, effort: Effort = USUAL, progress: Progress = silent, *, actions: int | None = None) -> Report:
    """A row for one environment, and one for the number of environments of the run."""
    specs = specs_of(run, actions)
    return Report(
        command="act",
        kind="act",
        title=f"One action of {run.composed.recipe.stem}, from arrays to arrays.",
        rows=[_row(run, specs, environments, effort, progress) for environments in sorted({1, run.environments})],
        setting=setting(run, specs),
    )


def _row(run: Run, specs: Specs, environments: int, effort: Effort, progress: Progress) -> Row:
    agent = run.agent(specs)
    run.runtime.prepare_process(agent)
    generator = run.runtime.generator(SEED, ACTING)
    actor = Actor(agent=agent, runtime=run.runtime, count=environments, mode="explore", generator=generator)
    step = random_steps(specs, environments, 1, np.random.default_rng(SEED))

    def act() -> None:
        actor.act(step.observation, step.is_first)

    progress(0, 1, environments_named(environments))
    times = timed(act, effort)
    values = {**times.milliseconds(), "actions_per_second": environments / times.median, "operators": count(act).operators}
    return Row(environments_named(environments), values)
