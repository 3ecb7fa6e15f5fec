"""Listings and help answer in half a second of processor time, since they import nothing heavy."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.calls import ROOT, environment, spawn

HEAVY = ("torch", "numpy", "mlflow", "matplotlib", "dm_control", "tensordict")
PARSED = 0.25
"""Seconds in which the machine of the limits parses this package."""


def seconds(*arguments: str, folder: Path) -> float:
    """The processor time of one call."""
    before = os.times()
    assert spawn(*arguments, folder=folder).returncode == 0
    now = os.times()
    return now.children_user + now.children_system - before.children_user - before.children_system


def is_within(limit: float, *arguments: str, folder: Path) -> bool:
    """Whether one of three calls is that fast, since the first may read from a cold disk. A slow machine has a larger limit."""
    started = time.process_time()
    for path in (ROOT / "framework").rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))
    slowness = max(1.0, (time.process_time() - started) / PARSED)
    return any(seconds(*arguments, folder=folder) < limit * slowness for _ in range(3))


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [("--help", 0.5), ("list critics", 0.5), ("recipes", 0.5), ("check dreamer_v1_infonce", 3.0)],
)
def test_a_command_answers_within_its_limit(tmp_path: Path, arguments: str, limit: float) -> None:
    assert is_within(limit, *arguments.split(), folder=tmp_path)


def test_help_listings_show_and_diff_import_no_heavy_package(tmp_path: Path) -> None:
    lines = ("--help", "list", "describe InfoNCE", "recipes", "show dreamer_v1", "diff dreamer_v1 dreamer_v3", "resume --help")
    program = f"""
import sys
from framework.cli import dream
for line in {(*lines, "lab bounds --help", "bench update --help")!r}:
    dream(line.split(), standalone_mode=False)
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    assert not heavy, (line, heavy)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
