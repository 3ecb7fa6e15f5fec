"""`bench`: its six commands. Each imports what it measures with only when it is called, so that most need no simulator and no tracker."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from framework.cli import options
from framework.cli.components import import_modules
from framework.cli.measuring import as_json_file, progress_bar, show, with_options

if TYPE_CHECKING:
    from framework.measurement.report import Progress, Report
    from framework.measurement.resources import Effort

Measure = Callable[..., "Report"]
"""From an effort, progress and the remaining options to a report."""


@click.group("bench")
def bench_command() -> None:
    """Measure how fast an update, an action, an environment and a run are.

    RECIPE is a file or the name of a shipped one, by default the quickstart; `-b` changes it, as `-b 'Runtime.threads=1'`.

    \b
    dream bench update                     one gradient update, against what the machine can do
    dream bench act                        the latency of an action
    dream bench env                        steps of the environment
    dream bench replay                     drawing batches
    dream bench collect                    acting, stepping and storing
    dream bench run                        a whole run for a minute
    """


_repeats = click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="And at least so often.")
_actions = click.option(
    "--actions", type=click.IntRange(min=1), help="How many numbers an action has, where the environment is not built; 6 if not given."
)


def _command(name: str, seconds: float, *extra: Callable[[Any], Any]) -> Callable[[Measure], Measure]:
    """A command that shows the report of its function."""
    length = click.option(
        "--seconds", type=click.FloatRange(min=0), default=seconds, show_default=True, help="Measure at least for so long."
    )
    recipe = click.argument("recipe", default="quickstart")

    def decorate(measure: Measure) -> Measure:
        @bench_command.command(name, help=measure.__doc__)
        @with_options(recipe, options.bindings, options.imports, length, *extra, as_json_file)
        def command(*, seconds: float, json_to: str | None, imports: tuple[str, ...], repeats: int = 1, **arguments: Any) -> None:
            import_modules(imports)
            from framework.measurement.resources import Effort

            with progress_bar() as progress:
                report = measure(Effort(seconds=seconds, repeats=repeats), progress, imports=imports, **arguments)
            show(report, json_to)

        return measure

    return decorate


@_command(
    "update",
    5.0,
    _repeats,
    _actions,
    click.option("--roofline", is_flag=True, help="Also the least times that arithmetic and memory allow, counted from the model itself."),
    click.option(
        "--profile", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.json", help="Write a trace, and shares of time."
    ),
)
def update_command(
    effort: "Effort", progress: "Progress", *, actions: int | None, roofline: bool, profile: Path | None, **recipe: Any
) -> "Report":
    """Measure one gradient update, from sampling to slow copies.

    Random steps fill the replay: no environment is built where its images follow from the recipe. Operators, waits of the host for the
    device and arithmetic are counted; the arithmetic done in a second stands beside a product of matrices timed in the same run. The
    trace opens in the trace viewer of a browser (`chrome://tracing`, `ui.perfetto.dev`).

    \b
    dream bench update quickstart -b 'Runtime.threads=1' --roofline
    dream bench update dreamer_v1_infonce -b "Runtime.precision='bfloat16'" --json -
    """
    if profile is not None and profile.suffix != ".json":
        raise click.BadParameter(f"'{profile}' must end with .json, the only format that is written.", param_hint="--profile")
    import framework
    from framework.bench import update

    return update.measure(framework.compose(**recipe), effort, progress, actions=actions, roofline=roofline, profile=profile)


@_command("act", 2.0, _repeats, _actions)
def act_command(effort: "Effort", progress: "Progress", *, actions: int | None, **recipe: Any) -> "Report":
    """Measure the latency of an action.

    From an observation in an array to an action in one, for one environment and for as many as `Run.environments`.

    \b
    dream bench act quickstart -b Run.environments=8
    """
    import framework
    from framework.bench import act

    return act.measure(framework.compose(**recipe), effort, progress, actions=actions)


@_command(
    "replay",
    2.0,
    _repeats,
    _actions,
    click.option("--steps", "sizes", type=click.IntRange(min=1), multiple=True, help="How many steps are stored; may be repeated."),
)
def replay_command(effort: "Effort", progress: "Progress", *, sizes: tuple[int, ...], actions: int | None, **recipe: Any) -> "Report":
    """Measure drawing batches and storing steps.

    \b
    dream bench replay dreamer_v1 --steps 10000 --steps 1000000 -b "Replay.storage='memmap'"
    """
    import framework
    from framework.bench import replay

    return replay.measure(framework.compose(**recipe), effort, progress, sizes=sizes or replay.SIZES, actions=actions)


@_command("env", 5.0, _repeats)
def env_command(effort: "Effort", progress: "Progress", **recipe: Any) -> "Report":
    """Measure steps of the environment with random actions.

    One environment in this process, and `Run.environments` in worker processes where there are more, or both in `Run.vector`.

    \b
    dream bench env quickstart -b Run.environments=2 -b "DMControl.quality='near'"
    """
    import framework
    from framework.bench import env

    return env.measure(framework.compose(**recipe), effort, progress)


@_command("collect", 5.0, _repeats)
def collect_command(effort: "Effort", progress: "Progress", **recipe: Any) -> "Report":
    """Measure acting, stepping and storing together.

    \b
    dream bench collect quickstart -b Run.environments=2
    """
    import framework
    from framework.bench import env

    return env.measure_collecting(framework.compose(**recipe), effort, progress)


@_command("run", 60.0)
def run_command(effort: "Effort", progress: "Progress", **recipe: Any) -> "Report":
    """Measure a whole run, everything recorded, and where its time goes.

    It trains for `--seconds` in a temporary folder, without updates before the first episode and with one episode in the evaluation.

    \b
    dream bench run quickstart --seconds 120
    """
    from framework.bench import run

    with redirect_stdout(sys.stderr):
        return run.measure(**recipe, seconds=effort.seconds)
