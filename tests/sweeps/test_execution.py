"""Which cell starts when, and what becomes of one that ends: with runs that only write what a run writes, a step at each look."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from framework.sweeps.api import _record
from framework.sweeps.display import line, rows
from framework.sweeps.execution import Execution
from framework.sweeps.launch import Job
from framework.sweeps.progress import RunProgress, minutes_left
from framework.sweeps.record import read_sweep
from framework.sweeps.result import SweepResult
from framework.tracking.base import MetricsEvent
from framework.tracking.jsonl import Jsonl
from framework.training.interrupt import Interrupt
from tests.sweeps.conftest import Planned

Curve = Sequence[float]


class Simulated(Job):
    """Writes an evaluation every 10 steps, and ends with a status."""

    def __init__(self, folder: Path, curve: Curve, status: int, log: Path) -> None:
        done = sum('"eval/return"' in each for each in (folder / "metrics.jsonl").read_text().split("\n")) if folder.exists() else 0
        (folder / "checkpoints" / "step-0").mkdir(parents=True, exist_ok=True)
        (folder / "checkpoints" / "step-0" / "progress.json").touch()
        self.jsonl, self.status, self.stopped, self.log = Jsonl(run_folder=folder, resume_step=None), status, False, log
        self.values: Iterator[tuple[int, float]] = iter([*enumerate(curve, 1)][done:])

    def poll(self) -> int | None:
        step, value = (0, 0.0) if self.stopped else next(self.values, (0, 0.0))
        if step:
            self.jsonl.record(MetricsEvent(10 * step, {"eval/return": value, "time/minutes": 0.1 * step}))
            return None
        self.jsonl.close("KILLED" if self.stopped else "FAILED" if self.status else "FINISHED")
        self.log.parent.mkdir(exist_ok=True)
        self.log.write_text("step=1\nError: the simulator exploded.\n\n")
        return self.status

    def stop(self) -> None:
        self.stopped = True


class Simulator:
    """Simulates runs: `curves` and exit statuses by the seed; what was asked for is kept."""

    def __init__(self, curves: Mapping[int, Curve], statuses: Mapping[int, list[int]]) -> None:
        self.curves, self.statuses = curves, statuses
        self.commands: list[list[str]] = []
        self.environments: list[Mapping[str, str]] = []

    def start(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> Job:
        arguments = dict(pairwise(command))
        seed = int(log.stem.rpartition("=")[2])
        new = Path(arguments.get("--folder", "")) / f"{log.stem}-20260101-000000-{seed}"
        self.commands.append([*command[3:]])
        self.environments.append(environment)
        statuses = self.statuses.get(seed, [])
        folder = new if command[3] == "train" else Path(command[4])
        return Simulated(folder, self.curves[seed], statuses.pop(0) if statuses else 0, log)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.sweeps.execution.POLL_SECONDS", 0.0)


def executed(
    four: Planned, folder: Path, simulator: Simulator, *, slots: int = 4, stop_below: bool = False, after: int = 10**6
) -> Execution:
    """The four cells, run to their end, or stopped after some looks."""
    folder.mkdir(exist_ok=True)
    source, planned = four
    execution = Execution(
        record=_record(folder, planned),
        planned=planned,
        source=source,
        start=simulator.start,
        slots=slots,
        stop_below=stop_below,
        uri="sqlite:///a.db",
    )
    looks = iter(range(after))
    with Interrupt() as interrupt:

        def show(execution: Execution) -> None:
            assert execution.counts()["running"] <= slots
            interrupt.requested = next(looks, None) is None

        execution.run(interrupt, show)
    return execution


def statuses(execution: Execution) -> list[str]:
    assert read_sweep(execution.record.folder) == execution.record
    return [cell.status for cell in execution.record.cells]


CURVES = {seed: [1.0 + seed] * 10 for seed in range(4)}


def test_the_next_cell_starts_when_one_ends_and_each_is_told_what_it_is(four: Planned, tmp_path: Path) -> None:
    simulator = Simulator(CURVES, {})
    execution = executed(four, tmp_path / "s", simulator, slots=2)
    assert statuses(execution) == ["finished"] * 4
    assert len(simulator.commands) == 4
    recipe, folder = str(four[1][0].recipe), str(tmp_path / "s")
    assert simulator.commands[1] == ["train", recipe, "--seed", "1", "--name", "tiny-seed=1", "--folder", folder]
    context = {"sweep": "s", "recipe": "tiny", "task": "Counting", "seed": "1"}
    assert json.loads(simulator.environments[1]["MLFLOW_RUN_CONTEXT"]) == context
    assert simulator.environments[1]["OMP_NUM_THREADS"] == "1"


def test_what_is_finished_is_skipped_and_what_broke_goes_on_from_its_checkpoint(four: Planned, tmp_path: Path) -> None:
    first = executed(four, tmp_path / "s", Simulator(CURVES, {}), slots=2, after=14)
    assert statuses(first) == ["finished", "finished", "waiting", "waiting"]
    result = SweepResult(first.record, first.progress, "KILLED", None)
    assert result.how_far() == "2 of 4 cells are finished, begun are tiny-seed=2 (40%), tiny-seed=3 (40%)."
    again = Simulator(CURVES, {})
    execution = executed(four, tmp_path / "s", again)
    assert [command[0] for command in again.commands] == ["resume", "resume"]
    assert statuses(execution) == ["finished"] * 4
    none = Simulator(CURVES, {})
    assert statuses(executed(four, tmp_path / "s", none)) == ["finished"] * 4
    assert none.commands == []


def test_what_a_killed_sweep_left_as_running_goes_on(four: Planned, tmp_path: Path) -> None:
    record = executed(four, tmp_path / "s", Simulator(CURVES, {}), slots=2, after=14).record
    for cell in record.cells[2:]:
        record = record.with_cell(replace(cell, status="running"))
    record.write()
    again = Simulator(CURVES, {})
    assert statuses(executed(four, tmp_path / "s", again)) == ["finished"] * 4
    assert [command[0] for command in again.commands] == ["resume", "resume"]


def test_a_cell_that_fails_three_times_is_failed_with_its_last_line_and_the_rest_goes_on(four: Planned, tmp_path: Path) -> None:
    simulator = Simulator(CURVES | {0: [0.0] * 3}, {0: [1, 1, 1], 2: [-9]})
    execution = executed(four, tmp_path / "s", simulator)
    assert statuses(execution) == ["failed", "finished", "finished", "finished"]
    assert [(cell.attempts, cell.error) for cell in execution.record.cells][::2] == [(3, "the simulator exploded."), (1, None)]
    assert line(execution) == "failed=1 finished=3 done=82%"
    assert list(rows(execution)) == [("tiny-seed=0: the simulator exploded.", "30/100", "0.0", "failed")]
    again = Simulator(CURVES | {0: [0.0] * 10}, {})
    assert statuses(executed(four, tmp_path / "s", again)) == ["finished"] * 4
    assert [command[0] for command in again.commands] == ["resume"]


def test_a_cell_below_the_median_of_its_task_is_stopped_after_half_of_its_budget_and_says_so(four: Planned, tmp_path: Path) -> None:
    execution = executed(four, tmp_path / "s", Simulator(CURVES, {}), stop_below=True)
    assert statuses(execution) == ["stopped", "stopped", "finished", "finished"]
    assert execution.record.cells[0].error == (
        "stopped early: its evaluation return of 1.0 after 50 steps is below the median of its task there, 2.5 of 4 runs"
    )
    assert [execution.progress[cell.key].step for cell in execution.record.cells] == [60, 60, 100, 100]
    again = Simulator(CURVES, {})
    assert statuses(executed(four, tmp_path / "s", again, stop_below=True)) == ["stopped", "stopped", "finished", "finished"]
    assert again.commands == []
    assert statuses(executed(four, tmp_path / "s", again)) == ["finished"] * 4, "without the option they go on"
    off = executed(four, tmp_path / "off", Simulator(CURVES, {}))
    assert statuses(off) == ["finished"] * 4


def test_two_runs_have_no_median_worth_the_name(four: Planned, tmp_path: Path) -> None:
    two = (four[0], four[1][:2])
    assert statuses(executed(two, tmp_path / "s", Simulator(CURVES, {}), stop_below=True)) == ["finished", "finished"]


def test_the_table_has_a_row_for_each_cell(four: Planned, tmp_path: Path) -> None:
    execution = executed(four, tmp_path / "s", Simulator(CURVES | {3: [1.0, 9.0, 2.0] + [4.0] * 7}, {0: [1, 1, 1]}))
    for cell in execution.record.cells:
        fields = {"name": cell.key, "experiment": "dream", "tracking_uri": "sqlite:///a.db", "run_id": f"id{cell.seed}", "started": ""}
        (tmp_path / "s" / str(cell.folder) / "run.json").write_text(json.dumps(fields))
    result = SweepResult(execution.record, execution.progress, "FAILED", None)
    table = result.table
    assert list(table["status"]) == ["failed", "finished", "finished", "finished"]
    assert list(table["return"]) == [1.0, 2.0, 3.0, 4.0]
    assert list(table["best"]) == [1.0, 2.0, 3.0, 9.0]
    assert list(table["run_id"]) == ["id0", "id1", "id2", "id3"] == [run.run_id for run in result.runs]
    assert result.write().read_text().split("\n")[0] == "cell,recipe,task,seed,status,step,minutes,return,best,run,run_id,error"


def test_the_time_that_a_sweep_will_take_is_measured_on_its_runs(four: Planned, tmp_path: Path) -> None:
    assert [minutes_left(each, tmp_path / "s") for each in four[1]] == [None] * 4
    executed(four, tmp_path / "s", Simulator(CURVES, {}), slots=2, after=14)
    assert [round(minutes_left(each, tmp_path / "s") or 0.0, 3) for each in four[1]] == [0.0, 0.0, 0.6, 0.6]


def test_a_sweep_takes_more_cells_and_refuses_others(four: Planned, tmp_path: Path) -> None:
    from framework.errors import UserError

    source, planned = four
    executed((source, planned[:2]), tmp_path / "s", Simulator(CURVES, {}))
    assert [cell.status for cell in _record(tmp_path / "s", planned).cells] == ["finished", "finished", "waiting", "waiting"]
    with pytest.raises(UserError, match=r"has cells that this one has not \(tiny-seed=0\): give another --name"):
        _record(tmp_path / "s", planned[1:])


def test_an_evaluation_whose_line_is_damaged_is_passed_over(four: Planned, tmp_path: Path) -> None:
    mirror = Jsonl(run_folder=tmp_path)
    for step in (10, 20):
        mirror.record(MetricsEvent(step, {"eval/return": 2.5 * step}))
    (tmp_path / "metrics.jsonl").write_text((tmp_path / "metrics.jsonl").read_text().replace("25.0", "95.0"))
    progress = RunProgress(four[1][0])
    progress.read(tmp_path)
    assert progress.evaluations == {20: 50.0}
