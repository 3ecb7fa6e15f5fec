"""`lab`: its five commands. Each imports what it measures with only when it is called."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, final, get_args, get_origin

import click

from framework.cli import options
from framework.cli.components import import_modules
from framework.cli.measuring import as_json_file, progress_bar, show, with_options
from framework.errors import UserError
from framework.lab.settings import BoundsSettings, CostSettings, CriticsSettings, DerivationSettings, LabSettings, NegativesSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from framework.measurement.report import Progress, Report

    Measured = tuple[Report, Callable[[Report], Figure]]

Command = TypeVar("Command", bound=Callable[..., Any])
Measure = Callable[[Any, "Progress"], "Measured"]
"""From settings and progress to the report and the function that draws it."""
PICTURES: Final = (".png", ".pdf", ".svg")


@final
class Spaced(click.Command):
    """A command whose repeated options also take their values at once: `--candidates 64 128` for `--candidates 64 --candidates 128`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        repeated = {name for each in self.params if isinstance(each, click.Option) and each.multiple for name in each.opts}
        return super().parse_args(ctx, [*_spread(args, repeated)])


def _spread(args: Sequence[str], repeated: set[str]) -> Iterator[str]:
    option, taken = "", 0
    for arg in args:
        if arg.startswith("-") and not _is_number(arg):
            option, taken = (arg if arg in repeated else ""), 0
        elif option:
            if taken:
                yield option
            taken += 1
        yield arg


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _option(each: Field[Any]) -> Callable[[Command], Command]:
    """The option of a field: of a choice, of repeated values, a flag, or of one value."""
    arguments: dict[str, Any] = {"default": each.default, "show_default": each.default != (), "help": each.metadata["help"]}
    inner = get_args(each.type)
    if get_origin(each.type) is Literal:
        arguments["type"] = click.Choice(inner)
    elif inner:
        arguments |= {"type": inner[0], "multiple": True, "metavar": "NAME" if inner[0] is str else None}
    elif each.type is bool:
        arguments |= {"is_flag": True, "show_default": False}
    else:
        arguments["type"] = each.type
    return click.option(*(each.metadata["flags"] or (f"--{each.name.replace('_', '-')}",)), each.name, **arguments)


def _picture(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file of another kind before minutes are spent."""
    if path is not None and path.suffix.lower() not in PICTURES:
        raise UserError(f"--plot {path}: the file must end in one of {', '.join(PICTURES)}, as in --plot {path.stem or 'rows'}.png.")
    return path


_plot = click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_picture,
    metavar="FILE",
    help=f"Draw the rows into a file that ends in {', '.join(PICTURES)}.",
)
_track = click.option("--track", is_flag=True, help="Record an MLflow run in the experiment 'laboratory'.")


@click.group("lab")
def lab_command() -> None:
    """Measure critics, strategies and bounds against known truth.

    No agent is trained: sources whose information is known give the scores, and the truth stands beside every estimate.

    \b
    dream lab bounds                       every bound on correlated Gaussians
    dream lab negatives                    every strategy where the own sequence is a trap
    dream lab critics                      every critic on a Kalman filter's latents
    dream lab derivation                   each line of the derivation of Eq. 15, computed exactly
    dream lab cost                         time and memory of each critic and strategy
    """


def _command(name: str, settings_type: type[LabSettings]) -> Callable[[Measure], click.Command]:
    """A command of the group with the options of its settings; it shows, writes, draws and records the report."""

    def decorate(measure: Measure) -> click.Command:
        @lab_command.command(name, cls=Spaced, help=measure.__doc__)
        @with_options(*map(_option, fields(settings_type)))
        @with_options(as_json_file, _plot, options.imports, _track, options.folder)
        def command(
            *, imports: tuple[str, ...], json_to: str | None, plot: Path | None, track: bool, folder: Path, **settings: Any
        ) -> None:
            import_modules(imports)
            with progress_bar() as progress:
                report, draw = measure(settings_type(**settings), progress)
            show(report, json_to)
            if plot is not None:
                plot.parent.mkdir(parents=True, exist_ok=True)
                draw(report).savefig(plot)
                click.echo(f"Drawn: {plot}", err=True)
            if track:
                from framework.lab.record import record

                click.echo(f"Recorded: {record(report, draw(report), folder)}", err=True)

        return command

    return decorate


@_command("bounds", BoundsSettings)
def bounds_command(settings: BoundsSettings, progress: "Progress") -> "Measured":
    """Measure every bound on correlated Gaussians.

    The exact critic is the score at which each bound is best. On the column axis the literal density `log p(x|y)` is shown beside it, and
    is wrong there by nats. `trained` climbs the staircase of Poole et al. (2019) with their critic, and takes minutes.

    \b
    dream lab bounds --mutual-information 2 6 10 --candidates 64 1024
    dream lab bounds --axis column --only InfoNCEBound
    """
    from framework.lab import bounds
    from framework.lab.plots.bounds import plot

    return bounds.measure(settings, progress), plot


@_command("negatives", NegativesSettings)
def negatives_command(settings: NegativesSettings, progress: "Progress") -> "Measured":
    """Measure every negative-sampling strategy with the exact critic.

    In `slow-fast` half of each latent stays the same through its sequence; in `autoregressive` neighbors in time are alike. Both make
    steps of the own sequence false negatives.

    \b
    dream lab negatives
    dream lab negatives --source autoregressive --phi 0.9 --set WindowExcluded.steps=8
    """
    from framework.lab import negatives
    from framework.lab.plots.rows import plot_negatives

    return negatives.measure(settings, progress), plot_negatives


@_command("critics", CriticsSettings)
def critics_command(settings: CriticsSettings, progress: "Progress") -> "Measured":
    """Measure exact densities and learned critics on a Kalman filter's latents.

    `h` is the predicted mean, `z` a sample of the filtering posterior. The first four rows show which `q(s|o)` is right; below them every
    registered critic is trained for some seconds.

    \b
    dream lab critics
    dream lab critics --steps 1000 --only BilinearCritic GaussianCritic
    """
    from framework.lab import critics
    from framework.lab.plots.rows import plot_critics

    return critics.measure(settings, progress), plot_critics


@_command("derivation", DerivationSettings)
def derivation_command(settings: DerivationSettings, progress: "Progress") -> "Measured":
    """Compute each line of the derivation, from Eq. 14 to Eq. 15, in a world small enough to enumerate.

    \b
    dream lab derivation --observations 8
    """
    from framework.lab import derivation
    from framework.lab.plots.derivation import plot

    return derivation.measure(settings, progress), plot


@_command("cost", CostSettings)
def cost_command(settings: CostSettings, progress: "Progress") -> "Measured":
    """Measure time and peak memory of critics and strategies, forward and backward.

    \b
    dream lab cost --candidates 2048 --critic ConcatCritic
    """
    from framework.lab import cost
    from framework.lab.plots.cost import plot

    return cost.measure(settings, progress), plot
