"""`dream bench collect`: acting, stepping and storing, as a run does between updates."""

from framework.bench import env
from framework.bench.clock import USUAL, Effort, Progress, clocked, silent
from framework.bench.report import Report, Row
from framework.training.run import Run


def measure(run: Run, effort: Effort = USUAL, progress: Progress = silent) -> Report:
    """One row, of as many environments as the run has."""
    with run.vector(run.environments, mode="process" if run.environments > 1 else "serial") as vector:
        learner = run.learner(vector, None)
        run.runtime.prepare_process(learner.agent)
        learner.begin()
        name = f"{vector.count} environment{'s' if vector.count > 1 else ''}"
        times = clocked(lambda: learner.collect(randomly=False), run.runtime.device, effort, name, progress)
        row = Row(name, {**times.milliseconds(), **env.speeds(vector, len(times.seconds) / sum(times.seconds))})
    return Report(
        command="collect",
        title=f"Collecting with the fresh policy of {run.composed.recipe.stem}.",
        rows=[row],
        setting=env.setting(run),
    )
