"""The command as a user calls it: in this process where that is the same, in one of its own where exit and time matter."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from framework.cli import dream

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "training" / "tiny.gin"
PIXELS = (
    "Run.environment=@environments.DMControl",
    "Agent.encoder=@encoders.ConvEncoder",
    "DMControl.task='cartpole_swingup'",
    "DMControl.size=16",
    "DMControl.quality='fast'",
)
Call = Callable[..., Result]


def bound(*bindings: str) -> list[str]:
    """The options that give these bindings."""
    return [part for binding in bindings for part in ("-b", binding)]


def call_dream(*arguments: object) -> Result:
    """Call the command in this process."""
    return CliRunner().invoke(dream, [str(each) for each in arguments], prog_name="dream")


def environment() -> dict[str, str]:
    """For a process of its own, which finds this checkout wherever it runs."""
    return {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"} | {"PYTHONPATH": str(ROOT)}


def spawn(*arguments: object, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Call the command in a process of its own."""
    command = [sys.executable, "-m", "framework", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment() | variables, capture_output=True, text=True, timeout=120, check=False)


def without_store(folder: Path) -> None:
    """Put a folder in the place of the database, so that runs below `folder` are recorded by their mirrors alone, which is quick."""
    (folder / "runs" / "mlflow.db").mkdir(parents=True)
