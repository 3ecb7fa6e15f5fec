"""Which runs count as seeds of one method, and what the methods are called."""

from pathlib import Path

import pytest

from framework.reports.history import read_history
from framework.reports.methods import name_methods
from framework.reports.tables import difference_table
from framework.sweeps.record import Cell
from tests.reports.run_folders import write_run

IN_BATCH, CROSSED = {"InfoNCE__negatives": "@negatives.InBatch"}, {"InfoNCE__negatives": "@negatives.CrossSequence"}


def names(folder: Path, *runs: dict[str, object]) -> list[str]:
    folders = [write_run(folder, f"run-{number}", {100: 1.0}, **run) for number, run in enumerate(runs)]  # type: ignore[arg-type]
    return name_methods([read_history(home) for home in folders])


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([{"seed": 0}, {"seed": 1, "Tracking__folder": "elsewhere", "Runtime__device": "cpu"}], ["quickstart", "quickstart"]),
        ([IN_BATCH, CROSSED], ["negatives=InBatch", "negatives=CrossSequence"]),
        ([IN_BATCH, CROSSED, {"recipe": "tpc"}], ["quickstart negatives=InBatch", "quickstart negatives=CrossSequence", "tpc"]),
        ([{"recipe": "tpc", **IN_BATCH}, {"recipe": "cvrl", **CROSSED}], ["tpc", "cvrl"]),
        ([IN_BATCH, {**CROSSED, "CrossSequence__count": "3"}], ["negatives=InBatch", "negatives=CrossSequence"]),
        ([{"Trainer__steps": "1000"}, {"Trainer__steps": "2000"}], ["steps=1000", "steps=2000"]),
        ([{"task": "cheetah_run", "DMControl__action_repeat": "4"}, {"DMControl__action_repeat": "8"}], ["quickstart", "quickstart"]),
    ],
    ids=["seeds", "setting", "recipe and setting", "recipes", "fewest settings", "budgets", "settings of the task"],
)
def test_runs_that_differ_in_more_than_seed_task_and_place_are_of_several_methods(tmp_path, runs, expected):
    assert names(tmp_path, *runs) == expected


def test_cells_of_a_sweep_have_the_values_of_its_grid_without_the_task(tmp_path):
    histories = []
    for number, (task, negatives) in enumerate([("cheetah_run", "[@negatives.InBatch]"), ("cheetah_run", "[]"), ("walker_walk", "[]")]):
        grid = {"task": task, "InfoNCE.negatives": negatives, "Replay.batch": "16"}
        home = write_run(tmp_path, f"run-{number}", {100: 1.0}, task=task)
        histories.append(read_history(home, Cell(f"cell-{number}", "quickstart", (), grid, task, 0, home.name, "finished")))
    assert name_methods(histories) == ["negatives=[InBatch]", "negatives=[]", "negatives=[]"]


def test_the_differences_are_of_runs_on_one_task(tmp_path):
    runs = [
        {"task": "cheetah_run", "DMControl__action_repeat": "4", **CROSSED},
        {"DMControl__action_repeat": "8", **CROSSED},
        {"DMControl__action_repeat": "8", **IN_BATCH},
    ]
    folders = [write_run(tmp_path, f"run-{number}", {100: 1.0}, **run) for number, run in enumerate(runs)]
    histories = [read_history(home) for home in folders]
    runs = {"one": histories[:2], "two": histories[2:]}
    assert difference_table(runs).to_dict("records") == [
        {"setting": "InfoNCE.negatives", "one": "@negatives.CrossSequence", "two": "@negatives.InBatch"}
    ]
