"""`lab`: its five commands. Each imports what it measures with only when it is called."""

import re
from collections.abc import Callable
from dataclasses import Field, fields
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, final, get_args, get_origin

import click

from framework.cli import options
from framework.cli.components import import_modules
from framework.cli.measuring import as_json_file, progress_bar, show, with_options
from framework.cli.options import Command
from framework.errors import UserError
from framework.lab.settings import BoundsSettings, CostSettings, CriticsSettings, DerivationSettings, LabSettings, NegativesSettings

PICTURES: Final = (".png", ".pdf", ".svg")


@final
class ListCommand(click.Command):
    """A command whose repeated options also take their values at once: `--candidates 64 128` for `--candidates 64 --candidates 128`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        repeated = {name for each in self.params if isinstance(each, click.Option) and each.multiple for name in each.opts}
        expanded: list[str] = []
        option = ""
        for argument in args:
            if re.match("--?[a-zA-Z]", argument):  # and no negative number
                option = argument if argument in repeated else ""
            elif option and expanded[-1] != option:
                expanded.append(option)
            expanded.append(argument)
        return super().parse_args(ctx, expanded)


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
    dream lab derivation                   each line of the derivation of the contrast, computed exactly
    dream lab cost                         time and memory of each critic and strategy
    """


def _add_command(name: str, settings_type: type[LabSettings]) -> None:
    """Add the command that calls `measure` of the laboratory's module of that name."""

    @lab_command.command(name, cls=ListCommand, help=settings_type.__doc__)
    @with_options(*map(_option, fields(settings_type)))
    @with_options(as_json_file, _plot, options.imports, _track, options.folder)
    def command(*, imports: tuple[str, ...], json_to: str | None, plot: Path | None, track: bool, folder: Path, **settings: Any) -> None:
        import_modules(imports)
        with progress_bar() as progress:
            report = import_module(f"framework.lab.{name}").measure(settings_type(**settings), progress)
        show(report, json_to)
        if plot is not None:
            from framework.lab.plots import draw

            plot.parent.mkdir(parents=True, exist_ok=True)
            draw(report).savefig(plot)
            click.echo(f"Drawn: {plot}", err=True)
        if track:
            from framework.lab.record import record

            click.echo(f"Recorded: {record(report, folder)}", err=True)


_add_command("bounds", BoundsSettings)
_add_command("negatives", NegativesSettings)
_add_command("critics", CriticsSettings)
_add_command("derivation", DerivationSettings)
_add_command("cost", CostSettings)
