"""The command `dream`. Each command's module is imported only when it is called, so that `--help` is quick."""

import errno
import os
import re
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, final

import click

from framework import __version__
from framework.cli.warnings import quieten
from framework.errors import UserError

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "train": ("training", "Train the agent of a recipe."),
    "resume": ("training", "Continue a run from one of its checkpoints."),
    "sweep": ("sweep", "Train many runs: recipes, seeds, and values of settings."),
    "runs": ("runs", "List the runs of a folder, the latest first."),
    "sync": ("sync", "Send to MLflow what it lacks of a run."),
    "evaluate": ("evaluate", "Let a run's policy act, and show its returns."),
    "replay-fault": ("fault", "Make the update again in which a run diverged."),
    "report": ("report", "Compare the runs of a sweep, or any runs, on one page."),
    "picture": ("picture", "Draw the contrast of a run: its ranking of images, imagination, scores or estimate."),
    "list": ("components", "List the components that a recipe can name."),
    "describe": ("components", "Describe one component: what it is and what it takes; or the contract of a family, or a record in it."),
    "new": ("new", "Write a component of your own that works, to be edited."),
    "test": ("test", "Run the contract of its family on a component of your own."),
    "recipes": ("recipes", "List the recipes that are shipped."),
    "check": ("recipes", "Check recipes, and show everything that is wrong with them."),
    "show": ("recipes", "Show every value of a recipe."),
    "diff": ("recipes", "Show where two recipes or runs differ."),
    "lab": ("lab", "Measure critics, strategies and bounds against known truth."),
    "bench": ("bench", "Measure how fast an update, an action, an environment and a run are."),
    "ui": ("ui", "Open MLflow's table of the runs."),
    "doctor": ("doctor", "See whether this machine has all that training needs."),
}
"""The module here of each command, where it is `<name>_command`, and its summary."""
EXTRA_BINDING: Final = re.compile(r"^Got unexpected extra argument.*[( ]([\w./]+=[^)]*)\)")
MISTAKE: Final = 2
INTERRUPTED: Final = 130


@final
class Mistake(click.ClickException):
    """A mistake that the user can mend, shown without a traceback."""

    exit_code = MISTAKE

    def format_message(self) -> str:
        from framework.cli.output import HANGING, wrapped

        return wrapped(self.message, HANGING)


@final
class Dream(click.Group):
    """The group of all commands, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"framework.cli.{COMMANDS[cmd_name][0]}"), f"{cmd_name.replace('-', '_')}_command")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from framework.registry import advice

            ctx.fail(f"There is no command '{args[0]}'{advice(args[0], COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise Mistake(str(error)) from error
        except click.UsageError as error:
            if binding := EXTRA_BINDING.search(error.message):
                raise click.UsageError(f"'{binding[1]}' is a binding: write -b before it.", error.ctx) from error
            raise
        except KeyboardInterrupt as error:
            click.echo(f"Stopped by {error if error.args else 'Ctrl-C'}.", err=True)
            ctx.exit(INTERRUPTED)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise Mistake(f"The disk is full ({error.filename or error.strerror}): free some space, and run this again.") from error


@click.group(cls=Dream, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dream")
def dream() -> None:
    """World models learned by contrast: an agent is a gin file.

    \b
    dream recipes                          what there is to train
    dream train quickstart                 train it
    dream train quickstart -b 'InfoNCE.negatives=@negatives.CrossSequence'
    dream ui                               look at the runs in MLflow
    """


def main() -> None:
    """The entry point of `dream` and of `python -m framework`."""
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "0"  # read when torch is imported: OpenMP's waiting threads then leave their cores to others
    if os.path.expanduser("~") == "~":
        from tempfile import gettempdir

        os.environ["HOME"] = gettempdir()  # mlflow cannot be imported without a home
    sys.path.append(os.getcwd())  # as `python -m framework` does, for a task such as `my_module:MyTask-v0`
    quieten()
    dream(prog_name="dream")
