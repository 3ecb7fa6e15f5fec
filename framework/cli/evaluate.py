"""`evaluate`."""

from pathlib import Path
from typing import Final

import click
import numpy as np

import framework
from framework.cli import options, output
from framework.errors import UserError
from framework.text import display

FRAMES_PER_SECOND: Final = 20.0


@click.command("evaluate")
@click.argument("run")
@options.bindings
@options.checkpoint("best")
@click.option("--episodes", type=click.IntRange(min=1), help="How many; by default as many as the recipe's Evaluation.episodes.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the environments; by default the run's own, so the episodes of its training.")
@click.option("--video", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.mp4", help="Film the first episode.")
@options.folder
@options.trust
@options.as_json
def evaluate_command(
    run: str,
    bindings: tuple[str, ...],
    checkpoint: str,
    episodes: int | None,
    seed: int | None,
    video: Path | None,
    folder: Path,
    trust: bool,
    as_json: bool,
) -> None:
    """Let a run's policy act, and show its returns.

    RUN is `latest`, a name, an MLflow id, a folder, or the beginning of a name or an id. The policy takes its mode.

    \b
    dream evaluate latest --episodes 20 --seed 7 --video episode.mp4
    """
    if video is not None and video.suffix != ".mp4":
        raise click.BadParameter(f"'{video}' must end with .mp4, the only format that is written.", param_hint="--video")
    path = framework.find_checkpoint(run, checkpoint, folder)
    evaluated = framework.evaluate(str(path), bindings, episodes=episodes, seed=seed, trust=trust)
    returns, lengths, mean, std = evaluated.returns, evaluated.lengths, evaluated.mean, float(np.std(evaluated.returns))
    if as_json:
        output.as_json({"checkpoint": path, "returns": returns, "lengths": lengths, "mean": mean, "std": std, "video": video})
    else:
        episodes_run = zip(returns, lengths, strict=True)
        rows = [[str(number), f"{value:.1f}", f"{length:,}"] for number, (value, length) in enumerate(episodes_run, 1)]
        output.table(["episode", "return", "steps"], rows)
        click.echo(f"\nReturn {mean:.1f} ± {std:.1f} over {len(returns)} episodes, by {display(path)}")
    if video is not None:
        _film(evaluated.frames, video)


def _film(frames: np.ndarray | None, video: Path) -> None:
    from framework.tracking.media import encode_video, write_video

    if frames is None:
        raise UserError("There is nothing to film: this run's environment shows no pixels.")
    click.echo(f"Wrote {display(write_video(video, encode_video(frames, FRAMES_PER_SECOND)))}", err=True)
