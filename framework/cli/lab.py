"""`lab`: its five commands. Each imports what it measures with only when it is called."""

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import click

from framework.cli import options
from framework.cli.components import import_modules
from framework.cli.measuring import as_json_file, progress_bar, show, with_options
from framework.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from framework.measurement.report import Progress, Report

Command = TypeVar("Command", bound=Callable[..., Any])
Measure = Callable[..., tuple["Report", Callable[["Report"], "Figure"]]]
"""Given progress and the options of its own, the report and the function that draws it."""
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


def _number(name: str, default: int | float, text: str) -> Callable[[Command], Command]:
    return click.option(name, type=type(default), default=default, show_default=True, help=text)


def _numbers(name: str, default: tuple[int | float, ...], text: str) -> Callable[[Command], Command]:
    return click.option(name, type=type(default[0]), multiple=True, default=default, show_default=True, help=text)


def _choice(name: str, values: Sequence[str], text: str) -> Callable[[Command], Command]:
    return click.option(name, type=click.Choice(values), default=values[0], show_default=True, help=text)


def _names(name: str, parameter: str, text: str) -> Callable[[Command], Command]:
    return click.option(name, parameter, multiple=True, metavar="NAME", help=f"{text} alone; may be repeated.")


def _filters(kind: str) -> Callable[[Command], Command]:
    text = f"Name.setting=value, of one {kind}."
    setting = click.option("-b", "--bind", "--set", "settings", multiple=True, metavar="BINDING", help=text)
    return with_options(_names("--only", "only", f"Measure this {kind}"), setting)


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
_seed = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The seed of all random numbers.")
_track = click.option("--track", is_flag=True, help="Record an MLflow run in the experiment 'laboratory'.")


def _reported(measure: Measure) -> Callable[..., None]:
    """The command that measures, and then shows, writes, draws and records the report."""

    @with_options(as_json_file, _plot, _seed, options.imports, _track, options.folder)
    @wraps(measure)
    def command(*, imports: tuple[str, ...], json_to: str | None, plot: Path | None, track: bool, folder: Path, **settings: Any) -> None:
        import_modules(imports)
        with progress_bar() as progress:
            report, draw = measure(progress, **settings)
        show(report, json_to)
        if plot is not None:
            plot.parent.mkdir(parents=True, exist_ok=True)
            draw(report).savefig(plot)
            click.echo(f"Drawn: {plot}", err=True)
        if track:
            from framework.lab.record import record

            click.echo(f"Recorded: {record(report, draw(report), folder)}", err=True)

    return command


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


@lab_command.command("bounds", cls=Spaced)
@_number("--dimensions", 20, "Of each side.")
@_numbers("--mutual-information", (2.0, 4.0, 6.0, 8.0, 10.0), "True nats.")
@_numbers("--candidates", (64, 128, 256, 1024), "K, the size of a batch.")
@_choice("--critic", ("exact", "trained"), "Where the scores come from.")
@_choice("--axis", ("row", "column"), "What is fixed: x, or y.")
@_number("--pairs", 20_480, "Positive pairs drawn for each row of the table.")
@_number("--steps", 4_000, "Updates for each level, with --critic trained.")
@_filters("bound")
@_reported
def bounds_command(progress: "Progress", **settings: Any) -> tuple["Report", Callable[["Report"], "Figure"]]:
    """Measure every bound on correlated Gaussians.

    The exact critic is the score at which each bound is best. On the column axis the literal density `log p(x|y)` is shown beside it: it
    is wrong there by nats. `trained` climbs the staircase of Poole et al. (2019) with their critic, and takes minutes.

    \b
    dream lab bounds --mutual-information 2 6 10 --candidates 64 1024
    dream lab bounds --axis column --only InfoNCEBound
    """
    from framework.lab.bounds import BoundsSettings, measure
    from framework.lab.plots.bounds import plot

    return measure(BoundsSettings(**settings), progress), plot


@lab_command.command("negatives", cls=Spaced)
@_choice("--source", ("slow-fast", "autoregressive"), "What is drawn.")
@_number("--slow-nats", 1.0, "Of the part that a sequence keeps (slow-fast).")
@_number("--fast-nats", 1.0, "Of the part that each step draws afresh (slow-fast).")
@_number("--phi", 0.9, "Correlation of neighboring steps (autoregressive).")
@_number("--nats", 4.0, "Of each step (autoregressive).")
@_number("--batch", 32, "Sequences, B.")
@_number("--length", 32, "Steps of each, T.")
@_number("--batches", 100, "How many are drawn.")
@_filters("strategy")
@_reported
def negatives_command(progress: "Progress", **settings: Any) -> tuple["Report", Callable[["Report"], "Figure"]]:
    """Measure every negative-sampling strategy with the exact critic.

    In `slow-fast` half of each latent stays the same through its sequence; in `autoregressive` neighbors in time are alike. Both make
    steps of the own sequence false negatives.

    \b
    dream lab negatives
    dream lab negatives --source autoregressive --phi 0.9 --set WindowExcluded.steps=8
    """
    from framework.lab.negatives import NegativesSettings, measure
    from framework.lab.plots.rows import plot_negatives

    return measure(NegativesSettings(**settings), progress), plot_negatives


@lab_command.command("critics", cls=Spaced)
@_number("--phi", 0.9, "Correlation of neighboring steps.")
@_number("--noise", 1.0, "Variance of the observation's noise; the signal's is 1.")
@_number("--dimensions", 6, "Independent ones.")
@_number("--candidates", 1024, "K, the size of a batch.")
@_number("--batches", 60, "How many are drawn for the exact densities.")
@_number("--steps", 200, "Updates of each critic that learns; 0 leaves them out.")
@_number("--offset", 0, "Steps from the latent to the observation; above 0 the exact densities are left out.")
@_filters("critic")
@_reported
def critics_command(progress: "Progress", **settings: Any) -> tuple["Report", Callable[["Report"], "Figure"]]:
    """Measure exact densities and learned critics on a Kalman filter's latents.

    `h` is the predicted mean, `z` a sample of the filtering posterior. The first four rows show which `q(s|o)` is right; below them every
    registered critic is trained for some seconds.

    \b
    dream lab critics
    dream lab critics --steps 1000 --only BilinearCritic GaussianCritic
    """
    from framework.lab.critics import CriticsSettings, measure
    from framework.lab.plots.rows import plot_critics

    return measure(CriticsSettings(**settings), progress), plot_critics


@lab_command.command("derivation", cls=Spaced)
@_number("--observations", 6, "How many there are in the world.")
@_number("--latents", 5, "How many values a latent has.")
@_names("--only", "only", "Show this line")
@_reported
def derivation_command(progress: "Progress", **settings: Any) -> tuple["Report", Callable[["Report"], "Figure"]]:
    """Compute each line of the derivation, from Eq. 14 to Eq. 15, in a world small enough to enumerate.

    \b
    dream lab derivation --observations 8
    """
    from framework.lab.derivation import DerivationSettings, measure
    from framework.lab.plots.derivation import plot

    return measure(DerivationSettings(**settings), progress), plot


@lab_command.command("cost", cls=Spaced)
@_number("--candidates", 1024, "N latents and as many candidates.")
@_number("--features", 256, "The size of a latent.")
@_number("--embedding", 256, "The size of an embedding.")
@_choice("--device", ("auto", "cpu", "cuda"), "Where.")
@_names("--critic", "critics", "Measure this critic")
@_names("--strategy", "strategies", "Measure this strategy")
@click.option("--all", "every", is_flag=True, help="Every critic with every strategy; else each with the cheapest of the other kind.")
@_reported
def cost_command(progress: "Progress", **settings: Any) -> tuple["Report", Callable[["Report"], "Figure"]]:
    """Measure time and peak memory of critics and strategies, forward and backward.

    \b
    dream lab cost --candidates 2048 --critic ConcatCritic
    """
    from framework.lab.cost import CostSettings, measure
    from framework.lab.plots.cost import plot

    return measure(CostSettings(**settings), progress), plot
