"""The summary of a training: its returns, the places of its outputs, and the next commands."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import click

from framework.cli import output
from framework.cli.options import RUNS
from framework.text import display, read_text
from framework.tracking import jsonl, store
from framework.tracking.runs import read_run
from framework.training.job import command, launched

if TYPE_CHECKING:
    from framework.training.result import Result


@final
@dataclass(frozen=True)
class RecordedEvaluation:
    """The mean and the standard deviation of the returns of one recorded evaluation."""

    step: int
    mean: float
    std: float
    episodes: int

    def __str__(self) -> str:
        return f"{self.mean:.1f} ± {self.std:.1f} over {self.episodes} episodes"


def evaluations(folder: Path) -> list[RecordedEvaluation]:
    """Every evaluation of a run, over all its resumes, from the records in its folder."""
    recorded = [each for each in jsonl.read(folder) if each["kind"] == "metrics" and "eval/return" in each["values"]]
    return [
        RecordedEvaluation(
            step=each["step"],
            mean=float(each["values"]["eval/return"]),
            std=float(each["values"]["eval/return_std"]),
            episodes=int(each["values"]["eval/episodes"]),
        )
        for each in recorded
    ]


def facts(result: "Result", evaluated: Sequence[RecordedEvaluation]) -> dict[str, Any]:
    """The result of a training, for JSON."""
    progress = result.progress
    return {
        "run": result.folder.name,
        "status": result.status,
        "folder": result.folder,
        "run_id": result.run_id,
        "url": result.url,
        "steps": progress.step,
        "updates": progress.updates,
        "episodes": progress.episodes,
        "minutes": round(progress.seconds / 60, 3),
        "evaluations": [asdict(each) for each in evaluated],
        "returns": result.evaluated.returns if result.evaluated else None,
        "checkpoints": {"latest": result.latest, "best": result.best},
    }


def show(result: "Result", evaluated: Sequence[RecordedEvaluation]) -> None:
    """Print the result of a training."""
    progress, name, folder = result.progress, result.folder.name, display(result.folder.parent)
    dream = command(launched().size)
    elsewhere = result.folder.parent != RUNS.absolute()
    option, argument = (f" --folder {folder}", f", folder={folder!r}") if elsewhere else ("", "")
    click.echo(f"\n{learned(evaluated)}\n")
    done = f"{progress.step:,} environment steps, {progress.updates:,} updates, {progress.episodes:,} episodes"
    duration = f"{progress.seconds / 60:.1f} minutes" if progress.seconds >= 60 else f"{progress.seconds:.0f} seconds"
    output.pairs(
        [
            ("Trained", f"{done}, {duration}"),
            ("Run", display(result.folder)),
            ("Checkpoint", _checkpoints(result)),
            ("Resume", f"{dream} resume {name}{option}"),
            ("Train on", f"{dream} resume {name}{option} {_longer(result)}" if result.status == "FINISHED" else ""),
            ("MLflow", _mlflow(result)),
            ("Act", f"policy = framework.load_policy({name!r}{argument}); policy.reset(); policy.act(observation)"),
        ]
    )


def learned(evaluated: Sequence[RecordedEvaluation]) -> str:
    """The last return beside the first and the best, in one or two sentences."""
    if not evaluated:
        return "The return is not known, since no evaluation was due (see Evaluation.every)."
    first, last = evaluated[0], evaluated[-1]
    best = max(evaluated, key=lambda each: each.mean)
    text = f"The policy's evaluation return is {last}, after {last.step:,} steps"
    if len(evaluated) == 1:
        return f"{text}; it was evaluated once, so there is nothing to compare it with."
    gain = last.mean - first.mean
    change = f"{gain:.1f} more than" if gain > 0 else f"{-gain:.1f} less than" if gain < 0 else "the same as"
    text = f"{text}: {change} at its first evaluation ({first.mean:.1f} ± {first.std:.1f}, after {first.step:,} steps)."
    return text if best.mean == last.mean else f"{text} The best was {best.mean:.1f} ± {best.std:.1f}, after {best.step:,} steps."


def _checkpoints(result: "Result") -> str:
    if result.latest is None:
        return "none was written"
    best = f"; the best is {display(result.best)}" if result.best and result.best != result.latest else ""
    return f"{display(result.latest)}{best}"


def _longer(result: "Result") -> str:
    """The bindings that raise the limits at which the run ended: its minutes, its steps, its updates."""
    resolved = read_text(result.folder / "resolved.gin")
    limits = {name: float(limit) for name, limit in re.findall(r"^Trainer\.(steps|updates|minutes) = ([\d.]+)", resolved, re.MULTILINE)}
    progress = result.progress
    reached = {"steps": progress.step, "updates": progress.updates, "minutes": progress.seconds / 60}
    ended = [name for name, limit in limits.items() if reached[name] >= limit]
    return " ".join(f"-b 'Trainer.{name}={math.ceil(2 * reached[name])}'" for name in ended)


def _mlflow(result: "Result") -> str:
    if result.url is None:
        return f"not recorded there; {display(result.folder / jsonl.MIRROR)} has everything"
    database = store.database(read_run(result.folder).tracking_uri)
    if database is None:
        return result.url
    option = "" if database.parent == RUNS.absolute() else f" --folder {display(database.parent)}"  # that of a sweep's runs lies above
    return f"dream ui{option}, then {result.url}"
