"""`picture`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

import framework
from framework.cli import options
from framework.text import display

if TYPE_CHECKING:
    from framework.training.pictures import Kind


@click.command("picture")
@click.argument("run")
@click.option(
    "--kind",
    type=click.Choice(["which", "imagine", "scores", "estimate"]),
    default="which",
    show_default=True,
    help="Ranked images, imagination, the matrix of scores, or the estimate against its ceiling.",
)
@options.bindings
@options.checkpoint("latest")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws the batch from the checkpoint's replay.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png", help="By default in the run's folder.")
@options.folder
@options.trust
def picture_command(
    run: str, kind: "Kind", bindings: tuple[str, ...], checkpoint: str, seed: int, out: Path | None, folder: Path, trust: bool
) -> None:
    """Draw the contrast of a run: its ranking of images, imagination, scores or estimate.

    RUN is `latest`, a name, an MLflow id, a folder, or the beginning of a name or an id.

    \b
    which      for a few latents: the true image and the candidates of highest score, hits and misses framed
    imagine    the imagined future, as the images of highest score for it, above the real one
    scores     the score matrix of a batch, by sequence and time
    estimate   the estimate of mutual information and its ceiling, over the whole run

    \b
    dream picture latest --kind imagine --checkpoint best --out imagined.png
    """
    if out is not None and out.suffix != ".png":
        raise click.BadParameter(f"'{out}' must end with .png, the only format that is written.", param_hint="--out")
    drawn = framework.picture(run, kind, bindings, checkpoint=checkpoint, seed=seed, out=out, folder=folder, trust=trust)
    click.echo(display(drawn))
