"""`lab`: its five commands. Each imports what it measures with only when it is called."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import click

from framework.cli import options, output
from framework.cli.components import import_modules
from framework.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from framework.lab.report import Progress, Report

Command = TypeVar("Command", bound=Callable[..., Any])
PICTURES: Final = (".png", ".pdf", ".svg")


@final
class Spaced(click.Command):
    """A command whose repeated options also take their values at once: `--candidates 64 128` for `--candidates 64 --candidates 128`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        several = {name for each in self.params if isinstance(each, click.Option) and each.multiple for name in each.opts}
        return super().parse_args(ctx, [*_spread(args, several)])


def _spread(args: Sequence[str], several: set[str]) -> Iterator[str]:
    option, taken = "", 0
    for arg in args:
        if arg.startswith("-") and not _is_number(arg):
            option, taken = (arg if arg in several else ""), 0
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


def _shared(command: Command) -> Command:
    """The options that every command has."""
    ending = f"Draw the rows into a file that ends in {', '.join(PICTURES)}."
    for option in (
        options.folder,
        click.option("--track", is_flag=True, help="Record an MLflow run in the experiment 'laboratory'."),
        options.imports,
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="What all numbers are drawn from."),
        click.option(
            "--plot",
            type=click.Path(path_type=Path, dir_okay=False),
            callback=_picture,
            metavar="FILE",
            help=ending,
        ),
        click.option("--json", "json_to", metavar="FILE|-", help="Write JSON to a file, or to standard output in place of the table."),
    ):
        command = option(command)
    return command


def _picture(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file that nothing can be drawn into before minutes are spent."""
    if path is not None and path.suffix.lower() not in PICTURES:
        raise UserError(f"--plot {path}: the file must end in one of {', '.join(PICTURES)}, as in --plot {path.stem or 'rows'}.png.")
    return path


def _filters(what: str) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        setting = click.option(
            "-b",
            "--bind",
            "--set",
            "settings",
            multiple=True,
            metavar="BINDING",
            help=f"Name.setting=value, of one {what}.",
        )
        only = click.option("--only", multiple=True, metavar="NAME", help=f"Measure this {what} alone; may be repeated.")
        return only(setting(command))

    return decorate


@lab_command.command("bounds", cls=Spaced)
@click.option("--dimensions", type=int, default=20, show_default=True, help="Of each side.")
@click.option("--mutual-information", type=float, multiple=True, default=(2, 4, 6, 8, 10), show_default=True, help="True nats.")
@click.option("--candidates", type=int, multiple=True, default=(64, 128, 256, 1024), show_default=True, help="K, the size of a batch.")
@click.option("--critic", type=click.Choice(["exact", "trained"]), default="exact", show_default=True, help="Where the scores come from.")
@click.option("--axis", type=click.Choice(["row", "column"]), default="row", show_default=True, help="What is fixed: x, or y.")
@click.option("--pairs", type=int, default=20_480, show_default=True, help="Positive pairs drawn for each row of the table.")
@click.option("--steps", type=int, default=4_000, show_default=True, help="Updates for each level, with --critic trained.")
@_filters("bound")
@_shared
def bounds_command(imports: tuple[str, ...], json_to: str | None, plot: Path | None, track: bool, folder: Path, **given: Any) -> None:
    """Measure every bound on correlated Gaussians.

    The exact critic is the score at which each bound is best. On the column axis the literal density `log p(x|y)` is shown beside it: it
    is wrong there by nats. `trained` climbs the staircase of Poole et al. (2019) with their critic, and takes minutes.

    \b
    dream lab bounds --mutual-information 2 6 10 --candidates 64 1024
    dream lab bounds --axis column --only InfoNCEBound
    """
    import_modules(imports)
    from framework.lab import bounds, plots

    with _progress() as progress:
        report = bounds.measure(bounds.Setting(**given), progress)
    _finish(report, plots.bounds, json_to, plot, track, folder)


@lab_command.command("negatives", cls=Spaced)
@click.option("--source", type=click.Choice(["slow-fast", "autoregressive"]), default="slow-fast", show_default=True, help="What is drawn.")
@click.option("--slow-nats", type=float, default=1.0, show_default=True, help="Of the part that a sequence keeps (slow-fast).")
@click.option("--fast-nats", type=float, default=1.0, show_default=True, help="Of the part that each step draws afresh (slow-fast).")
@click.option("--phi", type=float, default=0.9, show_default=True, help="Correlation of neighboring steps (autoregressive).")
@click.option("--nats", type=float, default=4.0, show_default=True, help="Of each step (autoregressive).")
@click.option("--batch", type=int, default=32, show_default=True, help="Sequences, B.")
@click.option("--length", type=int, default=32, show_default=True, help="Steps of each, T.")
@click.option("--batches", type=int, default=100, show_default=True, help="How many are drawn.")
@_filters("strategy")
@_shared
def negatives_command(imports: tuple[str, ...], json_to: str | None, plot: Path | None, track: bool, folder: Path, **given: Any) -> None:
    """Measure every negative-sampling strategy with the exact critic.

    In `slow-fast` half of each latent stays the same through its sequence; in `autoregressive` neighbors in time are alike. Both make
    steps of the own sequence false negatives.

    \b
    dream lab negatives
    dream lab negatives --source autoregressive --phi 0.9 --set WindowExcluded.steps=8
    """
    import_modules(imports)
    from framework.lab import negatives, plots

    with _progress() as progress:
        report = negatives.measure(negatives.Setting(**given), progress)
    _finish(report, plots.negatives, json_to, plot, track, folder)


@lab_command.command("critics", cls=Spaced)
@click.option("--phi", type=float, default=0.9, show_default=True, help="Correlation of neighboring steps.")
@click.option("--noise", type=float, default=1.0, show_default=True, help="Variance of the observation's noise; the signal's is 1.")
@click.option("--dimensions", type=int, default=6, show_default=True, help="Independent ones.")
@click.option("--candidates", type=int, default=1024, show_default=True, help="K, the size of a batch.")
@click.option("--batches", type=int, default=60, show_default=True, help="How many are drawn for the exact densities.")
@click.option("--steps", type=int, default=200, show_default=True, help="Updates of each critic that learns; 0 leaves them out.")
@_filters("critic")
@_shared
def critics_command(imports: tuple[str, ...], json_to: str | None, plot: Path | None, track: bool, folder: Path, **given: Any) -> None:
    """Measure exact densities and learned critics on a Kalman filter's latents.

    `h` is the predicted mean, `z` a sample of the filtering posterior. Which `q(s|o)` is right is seen from the first four rows; below
    them every registered critic is trained for some seconds.

    \b
    dream lab critics
    dream lab critics --steps 1000 --only BilinearCritic GaussianCritic
    """
    import_modules(imports)
    from framework.lab import critics, plots

    with _progress() as progress:
        report = critics.measure(critics.Setting(**given), progress)
    _finish(report, plots.critics, json_to, plot, track, folder)


@lab_command.command("derivation", cls=Spaced)
@click.option("--observations", type=int, default=6, show_default=True, help="How many there are in the world.")
@click.option("--latents", type=int, default=5, show_default=True, help="How many values a latent has.")
@click.option("--only", multiple=True, metavar="NAME", help="Show this line alone; may be repeated.")
@_shared
def derivation_command(imports: tuple[str, ...], json_to: str | None, plot: Path | None, track: bool, folder: Path, **given: Any) -> None:
    """Compute each line of the derivation, from Eq. 14 to Eq. 15, in a world small enough to enumerate.

    \b
    dream lab derivation --observations 8
    """
    import_modules(imports)
    from framework.lab import derivation, plots_derivation

    with _progress() as progress:
        report = derivation.measure(derivation.Setting(**given), progress)
    _finish(report, plots_derivation.plot, json_to, plot, track, folder)


@lab_command.command("cost", cls=Spaced)
@click.option("--candidates", type=int, default=1024, show_default=True, help="N latents and as many candidates.")
@click.option("--features", type=int, default=256, show_default=True, help="The size of a latent.")
@click.option("--embedding", type=int, default=256, show_default=True, help="The size of an embedding.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--critic", "critics", multiple=True, metavar="NAME", help="Measure this critic alone; may be repeated.")
@click.option("--strategy", "strategies", multiple=True, metavar="NAME", help="Measure this strategy alone; may be repeated.")
@click.option("--all", "every", is_flag=True, help="Every critic with every strategy; else each with the cheapest of the other kind.")
@_shared
def cost_command(imports: tuple[str, ...], json_to: str | None, plot: Path | None, track: bool, folder: Path, **given: Any) -> None:
    """Measure time and peak memory of critics and strategies, forward and backward.

    \b
    dream lab cost --candidates 2048 --critic ConcatCritic
    """
    import_modules(imports)
    from framework.lab import cost, plots_cost

    with _progress() as progress:
        report = cost.measure(cost.Setting(**given), progress)
    _finish(report, plots_cost.plot, json_to, plot, track, folder)


@contextmanager
def _progress() -> Iterator["Progress"]:
    """A bar on standard error where that is a terminal, and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    terminal = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal)
    with bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=what)


def _finish(
    report: "Report", draw: Callable[["Report"], "Figure"], json_to: str | None, plot: Path | None, track: bool, folder: Path
) -> None:
    """Show a report, write it where it is asked for, and record it."""
    if json_to != "-":
        click.echo(f"{report.title}\n")
        output.table(*report.table())
        if notes := report.notes():
            click.echo()
            output.pairs(notes)
    if json_to is not None:
        _write(json_to, json.dumps(report.json(), indent=2, allow_nan=False))
    if plot is not None:
        plot.parent.mkdir(parents=True, exist_ok=True)
        draw(report).savefig(plot)
        click.echo(f"Drawn: {plot}", err=True)
    if track:
        from framework.lab.record import record

        click.echo(f"Recorded: {record(report, draw(report), folder)}", err=True)


def _write(target: str, text: str) -> None:
    if target == "-":
        click.echo(text)
        return
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
