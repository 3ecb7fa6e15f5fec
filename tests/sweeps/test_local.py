"""A sweep through the command, end to end: a process of the whole one is killed, then Ctrl-C, then the same command once more."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from framework.sweeps.record import SweepRecord, read_sweep
from framework.tracking.store import local_uri
from tests.cli.calls import environment
from tests.sweeps.conftest import HERE

TASKS = ("cartpole_swingup", "ball_in_cup_catch")
PATIENCE = 900

pytestmark = pytest.mark.timeout(2000)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def process_of(folder: Path) -> int:
    """The process that trains a run."""
    return int(json.loads((folder / ".lock.json").read_text())["process"])


def training(folder: Path) -> list[Path]:
    """The runs of a sweep that have a checkpoint behind their first step and are not at their end."""
    runs = {path.parents[2] for path in folder.glob("small-*/checkpoints/step-*[1-9]*/progress.json")}
    return sorted(run for run in runs if "close" not in (run / "metrics.jsonl").read_text())


@dataclass
class Swept:
    """What is left of the sweep after Ctrl-C, what the command said then, and what is left after the second call."""

    folder: Path
    killed: Path
    stopped: SweepRecord
    exit: int
    output: str
    again: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module", params=[pytest.param(1, id="smallest"), pytest.param(2, id="whole", marks=pytest.mark.nightly)])
def swept(request: pytest.FixtureRequest, tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """One cell, or two recipes with two tasks and two seeds; two processes at a time."""
    home = tmp_path_factory.mktemp("swept")
    folder = home / "runs" / "tasks"
    folder.parent.mkdir()
    shutil.copy(tables, folder.parent)
    recipes = [str(HERE / "small.gin"), str(HERE / "short.gin")][: request.param]
    options = ["--seeds", str(request.param), "--grid", f"task={TASKS[: request.param]}", "--processes", "2", "--name", "tasks"]
    command = [sys.executable, "-m", "framework", "sweep", *recipes, *options]
    with subprocess.Popen(command, cwd=home, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            wait_for(lambda: bool(training(folder)) or process.poll() is not None)
            killed = training(folder)[0]
            if request.param > 1:
                os.kill(process_of(killed), signal.SIGKILL)
                wait_for(lambda: any(cell.attempts for cell in read_sweep(folder).cells))
            process.send_signal(signal.SIGINT)
            output = process.communicate(timeout=PATIENCE)[0]
        finally:
            process.kill()
    stopped = read_sweep(folder)
    again = subprocess.run(command, cwd=home, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    return Swept(folder, killed, stopped, process.returncode, output, again)


def test_ctrl_c_leaves_every_cell_resumable_and_says_how_far_it_is(swept: Swept) -> None:
    cells = swept.stopped.cells
    assert swept.exit == 130, swept.output
    assert f"\nStopped by Ctrl-C: {sum(cell.status == 'finished' for cell in cells)} of {len(cells)} cells are finished" in swept.output
    assert swept.output.endswith("Give the same command again to go on.\n")
    assert {cell.status for cell in cells} <= {"waiting", "finished"}
    (killed,) = [cell for cell in cells if cell.folder == swept.killed.name]
    assert (killed.status, f"{killed.key} (" in swept.output) == ("waiting", True)
    assert not [each for each in psutil.process_iter(["cmdline"]) if str(swept.folder) in (each.info["cmdline"] or [])]


def test_the_same_command_again_finishes_every_cell_in_one_run_each(swept: Swept) -> None:
    assert swept.again.returncode == 0, swept.again.stdout + swept.again.stderr
    record = read_sweep(swept.folder)
    assert len(record.cells) in (1, 8)
    assert {cell.status for cell in record.cells} == {"finished"}
    assert sorted(path.parent.name for path in swept.folder.glob("*/run.json")) == sorted(str(cell.folder) for cell in record.cells)
    for cell in record.cells:
        steps = [json.loads(line)["step"] for line in (swept.folder / str(cell.folder) / "metrics.jsonl").open() if '"eval/return"' in line]
        assert steps == [1000, 2000], "no evaluation is lost, and none is there twice"
    assert f"{len(record.cells)} of {len(record.cells)} cells are finished." in swept.again.stdout
    assert swept.killed.name in {cell.folder for cell in record.cells}


def test_mlflow_has_the_cells_below_one_parent_with_their_values_as_parameters_and_tags(swept: Swept) -> None:
    from mlflow import MlflowClient

    uri, record = local_uri(swept.folder.parent), read_sweep(swept.folder)
    client = MlflowClient(uri, registry_uri=uri)
    parent = client.get_run(record.parent_run_id)
    assert (parent.info.status, parent.data.tags["sweep"], record.tracking_uri) == ("FINISHED", "tasks", uri)
    assert [each.path for each in client.list_artifacts(parent.info.run_id)] == ["report", "summary.csv", "sweep.json"]
    children = client.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    values = {tuple(run.data.params[name] for name in ("recipe", "task", "seed")): run for run in children}
    assert len(children) == len(values) == len(record.cells)
    assert set(values) == {(Path(cell.recipe).stem, cell.task, str(cell.seed)) for cell in record.cells}
    for (recipe, task, seed), run in values.items():
        assert [run.data.tags[name] for name in ("recipe", "task", "seed", "sweep")] == [recipe, task, seed, "tasks"]
        assert (run.info.status, run.data.params["Agent.horizon"]) == ("FINISHED", "2" if recipe == "short" else "3")


def test_the_report_at_its_end_has_the_runs_own_numbers_and_is_an_artifact_of_the_parent(swept: Swept) -> None:
    from mlflow import MlflowClient

    record, folder = read_sweep(swept.folder), swept.folder / "report"
    facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    page = (folder / "report.html").read_text(encoding="utf-8")
    returns: dict[tuple[str, str], list[float]] = {}
    for cell in record.cells:
        mirror = (swept.folder / str(cell.folder) / "metrics.jsonl").read_text().splitlines()
        last = [each["values"]["eval/return"] for each in map(json.loads, mirror) if "eval/return" in each.get("values", {})][-1]
        returns.setdefault((Path(cell.recipe).stem, cell.task), []).append(last)
    ours = [row for row in facts["returns"] if not row["source"]]
    assert {(row["method"], row["task"]) for row in ours} == set(returns)
    assert len(ours) == len(returns) == len({cell.task for cell in record.cells}) * len({cell.recipe for cell in record.cells})
    for row in ours:
        own = returns[row["method"], row["task"]]
        assert (row["budget"], row["mean"]) == (2000, pytest.approx(sum(own) / len(own)))
        assert f"<strong>{row['mean']:,.0f}</strong>" in page
    assert facts["unfinished"] == []
    assert record.command in facts["commands"]
    assert f"Report: {Path('runs/tasks/report/report.html')}" in swept.again.stdout
    client = MlflowClient(record.tracking_uri, registry_uri=record.tracking_uri)
    assert "report/report.html" in {each.path for each in client.list_artifacts(record.parent_run_id, "report")}
