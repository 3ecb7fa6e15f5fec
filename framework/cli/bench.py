"""`bench`: its six commands. Each imports what it measures with only when it is called, so that most need no simulator and no tracker."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from framework.cli import options
from framework.cli.components import import_modules
from framework.cli.measuring import as_json_file, progress_bar, show, with_options

if TYPE_CHECKING:
    from framework.bench.subject import Subject
    from framework.measurement.timing import Effort
    from framework.training.run import Run

Command = TypeVar("Command", bound=Callable[..., Any])


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


_recipe = with_options(click.argument("recipe", default="quickstart"), options.bindings, options.imports)
_repeats = click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="And at least so often.")
_actions = click.option(
    "--actions", type=click.IntRange(min=1), help="How many numbers an action has, where the environment is not built; 6 if not given."
)


def _seconds(default: float) -> Callable[[Command], Command]:
    text = "Measure at least for so long."
    return click.option("--seconds", type=click.FloatRange(min=0), default=default, show_default=True, help=text)


def _options(seconds: float) -> Callable[[Command], Command]:
    return with_options(_recipe, _seconds(seconds), _repeats, as_json_file)


@bench_command.command("update")
@_options(5.0)
@_actions
@click.option("--roofline", is_flag=True, help="Also the least times that arithmetic and memory allow, counted from the model itself.")
@click.option("--profile", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.json", help="Write a trace, and shares of time.")
def update_command(json_to: str | None, roofline: bool, profile: Path | None, **common: Any) -> None:
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
    subject, effort = _subject(**common)
    from framework.bench.update import measure

    with progress_bar() as progress:
        report = measure(subject, effort, progress, roofline=roofline, profile=profile)
    show(report, json_to)


@bench_command.command("act")
@_options(2.0)
@_actions
def act_command(json_to: str | None, **common: Any) -> None:
    """Measure the latency of an action.

    From an observation in an array to an action in one, for one environment and for as many as `Run.environments`.

    \b
    dream bench act quickstart -b Run.environments=8
    """
    subject, effort = _subject(**common)
    from framework.bench.act import measure

    with progress_bar() as progress:
        report = measure(subject, effort, progress)
    show(report, json_to)


@bench_command.command("replay")
@_options(2.0)
@_actions
@click.option("--steps", "sizes", type=click.IntRange(min=1), multiple=True, help="How many steps are stored; may be repeated.")
def replay_command(json_to: str | None, sizes: tuple[int, ...], **common: Any) -> None:
    """Measure drawing batches and storing steps.

    \b
    dream bench replay dreamer_v1 --steps 10000 --steps 1000000 -b "Replay.storage='memmap'"
    """
    subject, effort = _subject(**common)
    from framework.bench.replay import SIZES, measure

    with progress_bar() as progress:
        report = measure(subject, effort, progress, sizes=sizes or SIZES)
    show(report, json_to)


@bench_command.command("env")
@_options(5.0)
def env_command(json_to: str | None, **common: Any) -> None:
    """Measure steps of the environment with random actions.

    One environment in this process, and `Run.environments` in worker processes where there are more.

    \b
    dream bench env quickstart -b Run.environments=2 -b "DMControl.quality='near'"
    """
    run, effort = _run(**common)
    from framework.bench.env import measure

    with progress_bar() as progress:
        report = measure(run, effort, progress)
    show(report, json_to)


@bench_command.command("collect")
@_options(5.0)
def collect_command(json_to: str | None, **common: Any) -> None:
    """Measure acting, stepping and storing together.

    \b
    dream bench collect quickstart -b Run.environments=2
    """
    run, effort = _run(**common)
    from framework.bench.collect import measure

    with progress_bar() as progress:
        report = measure(run, effort, progress)
    show(report, json_to)


@bench_command.command("run")
@with_options(_recipe, _seconds(60.0), as_json_file)
def run_command(recipe: str, bindings: tuple[str, ...], imports: tuple[str, ...], seconds: float, json_to: str | None) -> None:
    """Measure a whole run, everything recorded, and where its time goes.

    It trains for `--seconds` in a temporary folder, without updates before the first episode and with one episode in the evaluation.

    \b
    dream bench run quickstart --seconds 120
    """
    from framework.bench.run import measure

    with redirect_stdout(sys.stderr):
        report = measure(recipe, bindings, imports, seconds)
    show(report, json_to)


def _subject(
    recipe: str, bindings: tuple[str, ...], imports: tuple[str, ...], seconds: float, repeats: int, actions: int | None
) -> tuple["Subject", "Effort"]:
    """What is measured without an environment, and for how long."""
    import_modules(imports)
    from framework.bench.subject import read
    from framework.measurement.timing import Effort

    return read(recipe, bindings, imports, actions), Effort(seconds=seconds, repeats=repeats)


def _run(recipe: str, bindings: tuple[str, ...], imports: tuple[str, ...], seconds: float, repeats: int) -> tuple["Run", "Effort"]:
    """What is measured with its environment, and for how long."""
    import framework
    from framework.measurement.timing import Effort

    return framework.compose(recipe, bindings, imports=imports), Effort(seconds=seconds, repeats=repeats)
