"""`dream bench act`: from an observation to an action, as the actor does it."""

import numpy as np

from framework.bench import machine
from framework.bench.counting import count
from framework.bench.subject import SEED, Subject
from framework.measurement.report import Progress, Report, Row, silent
from framework.measurement.timing import USUAL, Effort, timed
from framework.training.actor import Actor
from framework.training.learner import ACTING
from framework.vector_environments.base import random_steps


def measure(subject: Subject, effort: Effort = USUAL, progress: Progress = silent) -> Report:
    """A row for one environment, and one for the number of environments of the run."""
    counts = sorted({1, int(subject.settings["Run.environments"])})
    return Report(
        command="act",
        kind="act",
        title=f"One action of {subject.plan.recipe.stem}, from arrays to arrays.",
        rows=[_row(subject, count, effort, progress) for count in counts],
        setting=subject.facts() | machine.facts(subject.runtime.device),
    )


def _row(subject: Subject, environments: int, effort: Effort, progress: Progress) -> Row:
    runtime, agent = subject.runtime, subject.agent()
    runtime.prepare_process(agent)
    actor = Actor(agent=agent, runtime=runtime, count=environments, mode="explore", generator=runtime.generator(SEED, ACTING))
    step = random_steps(subject.specs, environments, 1, np.random.default_rng(SEED))

    def act() -> None:
        actor.act(step.observation, step.is_first)

    name = f"{environments} environment{'s' if environments > 1 else ''}"
    progress(0, 1, name)
    times = timed(act, effort)
    values = {**times.milliseconds(), "actions_per_second": environments / times.median, "operators": count(act).operators}
    return Row(name, values)
