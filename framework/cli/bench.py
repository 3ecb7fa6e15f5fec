"""`bench`: its six commands. Each imports what it measures with only when it is called, so that most need no simulator and no tracker."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from framework.cli import options
from framework.cli.components import import_modules
from framework.cli.measuring import as_json_file, progress_bar, show, with_options

Option = Callable[[Any], Any]


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


def _json_name(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix != ".json":
        raise click.BadParameter(f"'{path}' must end with .json, the only format that is written.")
    return path


def _add_command(name: str, seconds: float, text: str, *extra: Option) -> None:
    """Add the command that calls `measure` of the benchmark's module of that name."""
    length = click.option(
        "--seconds", type=click.FloatRange(min=0), default=seconds, show_default=True, help="Measure at least for so long."
    )
    recipe_argument = click.argument("recipe", default="quickstart")

    @bench_command.command(name, help=text)
    @with_options(recipe_argument, options.bindings, options.imports, options.trust, options.seed, length, *extra, as_json_file)
    def command(
        *,
        recipe: str,
        bindings: tuple[str, ...],
        imports: tuple[str, ...],
        trust: bool,
        seed: int | None,
        seconds: float,
        json_to: str | None,
        **settings: Any,
    ) -> None:
        import_modules(imports)
        import framework
        from framework.measurement.resources import Effort

        run = framework.compose(recipe, options.seeded(bindings, seed), imports=imports, trust=trust)
        effort = Effort(seconds=seconds, repeats=settings.pop("repeats", 1))
        with progress_bar() as progress, redirect_stdout(sys.stderr):
            report = import_module(f"framework.bench.{name}").measure(run, effort, progress, **settings)
        show(report, json_to)


REPEATS: Final = click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="And at least so often.")
ACTIONS: Final = click.option(
    "--actions", type=click.IntRange(min=1), help="How many numbers an action has, where the environment is not built; 6 if not given."
)
_add_command(
    "update",
    5.0,
    """Measure one gradient update, from sampling to slow copies.

    Random steps fill the replay: no environment is built where its images follow from the recipe. Operators, waits of the host for the
    device and arithmetic are counted; the arithmetic done in a second stands beside a product of matrices timed in the same run. The
    trace opens in the trace viewer of a browser (`chrome://tracing`, `ui.perfetto.dev`).

    \b
    dream bench update quickstart -b 'Runtime.threads=1' --roofline
    dream bench update dreamer_v1_infonce -b "Runtime.precision='bfloat16'" --json -
    """,
    REPEATS,
    ACTIONS,
    click.option("--roofline", is_flag=True, help="Also the least times that arithmetic and memory allow, counted from the model itself."),
    click.option(
        "--profile",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_json_name,
        metavar="FILE.json",
        help="Write a trace, and shares of time.",
    ),
)
_add_command(
    "act",
    2.0,
    """Measure the latency of an action.

    From an observation in an array to an action in one, for one environment and for as many as `Run.environments`.

    \b
    dream bench act quickstart -b Run.environments=8
    """,
    REPEATS,
    ACTIONS,
)
_add_command(
    "replay",
    2.0,
    """Measure drawing batches and storing steps.

    \b
    dream bench replay dreamer_v1 --steps 10000 --steps 1000000 -b "Replay.storage='memmap'"
    """,
    REPEATS,
    ACTIONS,
    click.option("--steps", "sizes", type=click.IntRange(min=1), multiple=True, help="How many steps are stored; may be repeated."),
)
_add_command(
    "env",
    5.0,
    """Measure steps of the environment with random actions.

    One environment in this process, and `Run.environments` in worker processes where there are more, or both in `Run.vector`.

    \b
    dream bench env quickstart -b Run.environments=2 -b "DMControl.quality='near'"
    """,
    REPEATS,
)
_add_command(
    "collect",
    5.0,
    """Measure acting, stepping and storing together.

    \b
    dream bench collect quickstart -b Run.environments=2
    """,
    REPEATS,
)
_add_command(
    "run",
    60.0,
    """Measure a whole run, everything recorded, and where its time goes.

    It trains for `--seconds` in a temporary folder, without updates before the first episode and with one episode in the evaluation.

    \b
    dream bench run quickstart --seconds 120
    """,
)
