"""`dream bench act`: from an observation to an action, as the actor does it."""

import numpy as np

from framework.bench import machine
from framework.bench.clock import USUAL, Effort, Progress, clocked, silent
from framework.bench.counting import count
from framework.bench.report import Report, Row
from framework.bench.subject import SEED, Subject, random_steps
from framework.training.actor import Actor
from framework.training.learner import ACTING


def measure(subject: Subject, effort: Effort = USUAL, progress: Progress = silent) -> Report:
    """A row for one environment, and one for as many as the run has."""
    counts = sorted({1, int(subject.settings["Run.environments"])})
    return Report(
        command="act",
        title=f"One action of {subject.plan.recipe.stem}, from arrays to arrays.",
        rows=[_row(subject, count, effort, progress) for count in counts],
        setting=subject.facts() | machine.facts(subject.runtime.device),
    )


def _row(subject: Subject, environments: int, effort: Effort, progress: Progress) -> Row:
    runtime, agent = subject.runtime, subject.agent()
    runtime.prepare_process(agent)
    actor = Actor(agent=agent, runtime=runtime, count=environments, mode="explore", generator=runtime.generator(SEED, ACTING))
    seen = random_steps(subject.specs, environments, 1, np.random.default_rng(SEED))

    def act() -> None:
        actor.act(seen.observation, seen.is_first)

    times = clocked(act, runtime.device, effort, f"{environments} environments", progress)
    values = {**times.milliseconds(), "actions_per_second": environments / times.median, "operators": count(act).operators}
    return Row(f"{environments} environment{'s' if environments > 1 else ''}", values)
