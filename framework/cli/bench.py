"""`bench`: its six commands. Each imports what it measures with only when it is called, so that most need no simulator and no tracker."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from framework.cli import options, output

if TYPE_CHECKING:
    from framework.bench.clock import Effort, Progress
    from framework.bench.report import Report

Command = TypeVar("Command", bound=Callable[..., Any])
QUICKSTART = "quickstart"

actions = click.option(
    "--actions", type=click.IntRange(min=1), help="How many numbers an action has, where the environment is not built; 6 if not given."
)


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


def _shared(seconds: float) -> Callable[[Command], Command]:
    """The options that every command has; it measures for so long unless told otherwise."""

    def decorate(command: Command) -> Command:
        for option in (
            click.option("--json", "json_to", metavar="FILE|-", help="Write JSON to a file, or to standard output in place of the table."),
            click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Measure at least so many calls."),
            click.option("--seconds", type=click.FloatRange(min=0), default=seconds, show_default=True, help="And at least for so long."),
            options.imports,
            options.bindings,
            click.argument("recipe", default=QUICKSTART),
        ):
            command = option(command)
        return command

    return decorate


@bench_command.command("update")
@_shared(5.0)
@actions
@click.option("--roofline", is_flag=True, help="Also the least times that arithmetic and memory allow, counted from the model itself.")
@click.option("--profile", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.json", help="Write a trace, and shares of time.")
def update_command(
    recipe: str,
    bindings: tuple[str, ...],
    imports: tuple[str, ...],
    seconds: float,
    repeats: int,
    json_to: str | None,
    actions: int | None,
    roofline: bool,
    profile: Path | None,
) -> None:
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
    _import(imports)
    from framework.bench import subject, update

    with _progress() as progress:
        found = subject.read(recipe, bindings, imports, actions)
        report = update.measure(found, _effort(seconds, repeats), progress, roofline=roofline, profile=profile)
    _finish(report, json_to)


@bench_command.command("act")
@_shared(2.0)
@actions
def act_command(
    recipe: str,
    bindings: tuple[str, ...],
    imports: tuple[str, ...],
    seconds: float,
    repeats: int,
    json_to: str | None,
    actions: int | None,
) -> None:
    """Measure the latency of an action.

    From an observation in an array to an action in one, for one environment and for as many as `Run.environments`.

    \b
    dream bench act quickstart -b Run.environments=8
    """
    _import(imports)
    from framework.bench import act, subject

    with _progress() as progress:
        report = act.measure(subject.read(recipe, bindings, imports, actions), _effort(seconds, repeats), progress)
    _finish(report, json_to)


@bench_command.command("replay")
@_shared(2.0)
@actions
@click.option("--steps", "sizes", type=click.IntRange(min=1), multiple=True, help="How many steps are stored; may be repeated.")
def replay_command(
    recipe: str,
    bindings: tuple[str, ...],
    imports: tuple[str, ...],
    seconds: float,
    repeats: int,
    json_to: str | None,
    actions: int | None,
    sizes: tuple[int, ...],
) -> None:
    """Measure drawing batches and storing steps.

    \b
    dream bench replay dreamer_v1 --steps 10000 --steps 1000000 -b "Replay.storage='memmap'"
    """
    _import(imports)
    from framework.bench import replay, subject

    with _progress() as progress:
        found = subject.read(recipe, bindings, imports, actions)
        report = replay.measure(found, _effort(seconds, repeats), progress, sizes=sizes or replay.SIZES)
    _finish(report, json_to)


@bench_command.command("env")
@_shared(5.0)
def env_command(
    recipe: str, bindings: tuple[str, ...], imports: tuple[str, ...], seconds: float, repeats: int, json_to: str | None
) -> None:
    """Measure steps of the environment with random actions.

    One environment in this process, and `Run.environments` in worker processes where there are more.

    \b
    dream bench env quickstart -b Run.environments=2 -b "DMControl.quality='near'"
    """
    import framework
    from framework.bench import env

    with _progress() as progress:
        report = env.measure(framework.compose(recipe, bindings, imports=imports), _effort(seconds, repeats), progress)
    _finish(report, json_to)


@bench_command.command("collect")
@_shared(5.0)
def collect_command(
    recipe: str, bindings: tuple[str, ...], imports: tuple[str, ...], seconds: float, repeats: int, json_to: str | None
) -> None:
    """Measure acting, stepping and storing together.

    \b
    dream bench collect quickstart -b Run.environments=2
    """
    import framework
    from framework.bench import collect

    with _progress() as progress:
        report = collect.measure(framework.compose(recipe, bindings, imports=imports), _effort(seconds, repeats), progress)
    _finish(report, json_to)


@bench_command.command("run")
@_shared(60.0)
def run_command(
    recipe: str, bindings: tuple[str, ...], imports: tuple[str, ...], seconds: float, repeats: int, json_to: str | None
) -> None:
    """Measure a whole run, everything recorded, and where its time goes.

    It trains for `--seconds` in a temporary folder, without updates before the first episode and with one episode in the evaluation.

    \b
    dream bench run quickstart --seconds 120
    """
    from framework.bench import run

    with redirect_stdout(sys.stderr):
        report = run.measure(recipe, bindings, imports, _effort(seconds, repeats))
    _finish(report, json_to)


def _import(imports: tuple[str, ...]) -> None:
    from framework.cli.components import import_modules

    import_modules(imports)


def _effort(seconds: float, repeats: int) -> "Effort":
    from framework.bench.clock import Effort

    return Effort(seconds=seconds, repeats=repeats)


@contextmanager
def _progress() -> Iterator["Progress"]:
    """A line on standard error where that is a terminal, and nothing elsewhere."""

    def show(done: int, total: int, what: str) -> None:
        click.echo(f"\r\x1b[K{what} ({done} of {total})", err=True, nl=False)

    def hide(done: int, total: int, what: str) -> None:
        pass

    watched = sys.stderr.isatty()
    yield show if watched else hide
    if watched:
        click.echo("\r\x1b[K", err=True, nl=False)


def _finish(report: "Report", json_to: str | None) -> None:
    """Show a report, and write it where it is asked for."""
    text = json.dumps(report.json(), indent=2, default=str)
    if json_to == "-":
        click.echo(text)
        return
    click.echo(f"{report.title}\n")
    output.table(*report.table())
    if json_to is not None:
        path = Path(json_to)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
        click.echo(f"Written: {path}", err=True)
