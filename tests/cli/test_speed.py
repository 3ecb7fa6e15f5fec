"""Listings and help answer in half a second of processor time, since they import nothing heavy."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.calls import ROOT, environment, spawn
from tests.reports.run_folders import write_run

HEAVY = ("torch", "numpy", "mlflow", "matplotlib", "dm_control")
PARSED = 1.1e-5
"""Seconds in which the machine of the limits parses a line of this package."""


def seconds(*arguments: str, folder: Path) -> float:
    """The processor time of one call."""
    before = os.times()
    assert spawn(*arguments, folder=folder).returncode == 0
    now = os.times()
    return now.children_user + now.children_system - before.children_user - before.children_system


def slowness() -> float:
    """How many times slower than the machine of the limits this one is now, at least 1."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "framework").rglob("*.py")]
    started = time.process_time()
    for text in texts:
        ast.parse(text)
    return max(1.0, (time.process_time() - started) / sum(text.count("\n") for text in texts) / PARSED)


@pytest.mark.parametrize(
    "arguments", ["--help", "list", "describe InfoNCE", "describe Contrast", "recipes", "show dreamer_v3", "diff dreamer_v1 dreamer_v3"]
)
def test_a_listing_answers_in_half_a_second(tmp_path: Path, arguments: str) -> None:
    """In one of five calls, since the first may read from a cold disk, and others may share the processor with other work."""
    assert any(seconds(*arguments.split(), folder=tmp_path) < 0.5 * slowness() for _ in range(5))


@pytest.mark.parametrize(("arguments", "limit"), [("dreamer_v1_infonce", 3.0), ("twister_cpc --deep", 5.0)])
def test_a_check_takes_little_more_than_importing_torch(tmp_path: Path, arguments: str, limit: float) -> None:
    """The limits are of a machine where the import takes 1.35 seconds; whatever this one does at the time, the two take turns."""

    def import_seconds() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        now = os.times()
        return now.children_user + now.children_system - before.children_user - before.children_system

    command = ["check", *arguments.split(), "-b", "Replay.capacity=10000"]
    assert any(seconds(*command, folder=tmp_path) < limit / 1.35 * import_seconds() for _ in range(5))


def test_help_listings_show_and_diff_import_no_heavy_package(tmp_path: Path) -> None:
    lines = (
        "--help",
        "list",
        "describe InfoNCE",
        "describe Contrast",
        "recipes",
        "show dreamer_v1",
        "diff dreamer_v1 dreamer_v3",
        "resume --help",
    )
    program = f"""
import sys
from framework.cli import dream
for line in {(*lines, "lab bounds --help", "bench update --help")!r}:
    dream(line.split(), standalone_mode=False)
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    assert not heavy, (line, heavy)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)


def test_a_list_of_runs_answers_in_half_a_second_and_imports_no_torch(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / "runs", f"quickstart-20260101-12000{seed}-{seed}", dict.fromkeys(range(1000, 101_000, 1000), 500.0), seed=seed)
    assert any(seconds("runs", folder=tmp_path) < 0.5 * slowness() for _ in range(5))
    program = """
import sys
from framework.cli import dream
dream(["runs"], standalone_mode=False)
assert not {"torch", "mlflow"} & {*sys.modules}
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)


def test_a_check_imports_neither_compiler_nor_tracker_nor_plots(tmp_path: Path) -> None:
    program = """
import sys
from framework.cli import dream
dream(["check", "dreamer_pro", "--deep"], standalone_mode=False)
assert "torch" in sys.modules
heavy = {"torch._dynamo", "mlflow", "matplotlib", "pandas", "gymnasium", "scipy.ndimage._filters"} & {*sys.modules}
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
