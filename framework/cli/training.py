"""`train` and `resume`."""

import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

import framework
from framework.cli import options, output

if TYPE_CHECKING:
    from framework.training.result import Result


@click.command("train")
@click.argument("recipe")
@options.bindings
@options.imports
@options.trust
@options.seed
@click.option("--name", help="What the run is called; the recipe's name if not given.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the run folder is made; the same as -b \"Tracking.folder='F'\".")
@options.as_json
@click.pass_context
def train_command(
    ctx: click.Context,
    recipe: str,
    bindings: tuple[str, ...],
    imports: tuple[str, ...],
    trust: bool,
    seed: int | None,
    name: str | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Train the agent of a recipe.

    RECIPE is a file, or the name of one that is shipped (see `dream recipes`). Ctrl-C stops after the current step and
    writes a checkpoint; `dream resume` continues from it.

    \b
    dream train quickstart
    dream train recipes/dreamer_v1_infonce.gin -b 'InfoNCE.negatives=@negatives.CrossSequence' --seed 1
    """
    if name is not None and (not name or Path(name).name != name):
        raise click.BadParameter(f"'{name}' is the name of a folder: give one word without '/'.", param_hint="--name")
    settings = {"Tracking.name": name, "Tracking.folder": folder and str(folder)}
    bound = [f"{key}={value!r}" for key, value in settings.items() if value is not None]
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        result = framework.compose(recipe, [*options.seeded(bindings, seed), *bound], imports=imports, trust=trust).train()
    _end(ctx, result, as_json)


@click.command("resume")
@click.argument("run")
@options.bindings
@options.checkpoint("latest")
@options.folder
@options.trust
@options.as_json
@click.pass_context
def resume_command(
    ctx: click.Context, run: str, bindings: tuple[str, ...], checkpoint: str, folder: Path, trust: bool, as_json: bool
) -> None:
    """Continue a run from one of its checkpoints.

    RUN is `latest`, a name, an MLflow id, a folder, or the beginning of a name or an id. On a CPU the run ends as if it had never
    stopped.

    \b
    dream resume latest
    dream resume quickstart-20260101-120000-0 -b 'Trainer.steps=200000'
    """
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        result = framework.resume(run, bindings, checkpoint=checkpoint, folder=folder, trust=trust)
    _end(ctx, result, as_json)


def _end(ctx: click.Context, result: "Result", as_json: bool) -> None:
    from framework.cli import summary
    from framework.training.job import launched

    if launched().rank:
        return
    evaluations = summary.evaluations(result.folder)
    if as_json:
        output.as_json(summary.facts(result, evaluations))
    else:
        summary.show(result, evaluations)
    if result.status == "KILLED":
        click.echo(f"Stopped by {result.stopped_by}; nothing that was learned is lost.", err=True)
        ctx.exit(130)
