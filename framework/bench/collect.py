"""`dream bench collect`: acting, stepping and storing, as a run does."""

from framework.bench.env import timed_steps
from framework.bench.setup import environments_named, setting
from framework.measurement.report import Progress, Report, silent
from framework.measurement.resources import USUAL, Effort
from framework.training.run import Run


def measure(run: Run, effort: Effort = USUAL, progress: Progress = silent) -> Report:
    """One row, for the number of environments of the run."""
    with run.vector(run.environments, mode="process" if run.environments > 1 else "serial") as vector:
        learner = run.learner(vector, None)
        run.runtime.prepare_process(learner.agent)
        learner.begin()
        name = environments_named(vector.count)
        row = timed_steps(name, vector, lambda: learner.collect(randomly=False), effort, progress)
    title = f"Collecting with the fresh policy of {run.composed.recipe.stem}."
    return Report(command="collect", kind="collect", title=title, rows=[row], setting=setting(run))
