"""`dream bench collect`: acting, stepping and storing, as a run does between updates."""

from framework.bench import env
from framework.measurement.report import Progress, Report, Row, silent
from framework.measurement.timing import USUAL, Effort, timed
from framework.training.run import Run


def measure(run: Run, effort: Effort = USUAL, progress: Progress = silent) -> Report:
    """One row, for the number of environments of the run."""
    with run.vector(run.environments, mode="process" if run.environments > 1 else "serial") as vector:
        learner = run.learner(vector, None)
        run.runtime.prepare_process(learner.agent)
        learner.begin()
        name = f"{vector.count} environment{'s' if vector.count > 1 else ''}"
        progress(0, 1, name)
        times = timed(lambda: learner.collect(randomly=False), effort)
        row = Row(name, {**times.milliseconds(), **env.speeds(vector, times)})
    title = f"Collecting with the fresh policy of {run.composed.recipe.stem}."
    return Report(command="collect", kind="collect", title=title, rows=[row], setting=env.setting(run))
