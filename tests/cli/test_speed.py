"""What must answer at once does, because it imports nothing heavy. Processor time, so that a busy machine is no slower."""

import ast
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.calls import ROOT, environment, spawn

HEAVY = ("torch", "numpy", "mlflow", "dm_control", "tensordict")


def seconds(*arguments: str, folder: Path) -> float:
    """The processor time of one call."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert spawn(*arguments, folder=folder).returncode == 0
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime


def within(limit: float, *arguments: str, folder: Path) -> bool:
    """Whether one of three calls is that fast: the first may find a cold disk.

    On a slow machine so fast that it takes no longer than `limit` would be where Python parses this package in `PARSED`.
    """
    return any(seconds(*arguments, folder=folder) < limit * max(1.0, parsing() / PARSED) for _ in range(3))


PARSED = 0.25


def parsing() -> float:
    """The processor time that Python takes to parse this package, which says how fast the machine is just now."""
    started = time.process_time()
    for path in (ROOT / "framework").rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))
    return time.process_time() - started


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "critics"], ["train", "--help"], ["recipes"]], ids=" ".join)
def test_help_and_listings_take_less_than_half_a_second(tmp_path: Path, arguments: list[str]) -> None:
    assert within(0.5, *arguments, folder=tmp_path)


def test_check_takes_less_than_a_second_and_a_half(tmp_path: Path) -> None:
    assert within(1.5, "check", str(ROOT / "recipes" / "dreamer_v1_infonce.gin"), folder=tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list"], ["describe", "InfoNCE"], ["recipes"], ["check", "dreamer_v1"], ["show", "dreamer_v1"], ["resume", "--help"]],
    ids=" ".join,
)
def test_no_heavy_package_is_imported(tmp_path: Path, arguments: list[str]) -> None:
    program = (
        "import json, sys\nfrom framework.cli import dream\n"
        f"try:\n    dream({arguments!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    assert json.loads(run.stdout.splitlines()[-1]) == []
