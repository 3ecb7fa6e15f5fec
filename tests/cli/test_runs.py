"""`dream runs`: the runs of a folder."""

import json
from pathlib import Path

import pytest

from framework.cli import output
from framework.training.lock import run_lock
from tests.cli.calls import Call
from tests.reports.run_folders import write_run


@pytest.fixture
def runs() -> Path:
    """Three runs, the first of which ended."""
    folder = Path("runs")
    write_run(folder, "quickstart-20260101-120000-0", {10_000: 400.0, 20_000: 729.4, 30_000: 660.2})
    write_run(folder, "quickstart-20260101-130000-1", {10_000: 300.0}, recipe="mine", task="cheetah_run", seed=1, status=None)
    write_run(folder, "quickstart-20260101-140000-2", {}, seed=2, status="FAILED")
    return folder


def test_the_runs_of_a_folder_are_listed_with_their_returns_the_latest_first(call: Call, runs: Path) -> None:
    facts = json.loads(call("runs", "--json").stdout)
    assert [each["name"][-1] for each in facts] == ["2", "1", "0"]
    assert facts[2] == {
        "name": "quickstart-20260101-120000-0",
        "recipe": "quickstart",
        "task": "cartpole_swingup",
        "seed": 0,
        "step": 30_000,
        "last": 660.2,
        "best": 729.4,
        "status": "finished",
    }
    assert [(each["status"], each["last"], each["task"]) for each in facts[:2]] == [
        ("failed", None, "cartpole_swingup"),
        ("unfinished", 300.0, "cheetah_run"),
    ]


def test_a_run_that_is_trained_is_running(call: Call, runs: Path) -> None:
    with run_lock((runs / "quickstart-20260101-130000-1").absolute()):
        statuses = [each["status"] for each in json.loads(call("runs", "--folder", runs, "--json").stdout)]
    assert statuses == ["failed", "running", "finished"]


def test_the_table_of_runs_fits_eighty_columns(call: Call, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "terminal_width", lambda: 80)
    lines = call("runs").stdout.splitlines()
    assert lines[0].split("  ")[0] == "run"
    assert max(map(len, lines)) <= 80
    assert any(line.split()[-4:] == ["30,000", "660.2", "729.4", "finished"] for line in lines)


def test_a_folder_without_runs_and_a_run_without_metrics_are_said_to_be_so(call: Call) -> None:
    assert call("runs").stdout.startswith("There are no runs in ")
    home = write_run(Path("runs"), "empty", {})
    (home / "metrics.jsonl").unlink()
    assert call("runs").stdout.splitlines()[1].split() == ["empty", "no", "metrics"]
