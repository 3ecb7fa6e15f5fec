"""A sweep of two methods on two tasks with three seeds each, one of which failed, and one cell that has not begun."""

from pathlib import Path

import pytest

from framework.reports.report import RunReport, report
from framework.sweeps.record import Cell
from tests.reports.run_folders import write_run, write_sweep

RETURNS = {
    ("cartpole_swingup", "InBatch"): (600.0, 500.0, 700.0),
    ("cartpole_swingup", "CrossSequence"): (400.0, 450.0, 320.0),
    ("cheetah_run", "InBatch"): (300.0, 310.0, 290.0),
    ("cheetah_run", "CrossSequence"): (350.0, 360.0, 340.0),
}
"""The last return of each seed, at 100,000 steps; halfway there it was half as much."""


@pytest.fixture(scope="session")
def sweep_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "negatives"
    cells = []
    for (task, negatives), returns in RETURNS.items():
        for seed, value in enumerate(returns):
            failed = (task, negatives, seed) == ("cartpole_swingup", "CrossSequence", 2)
            key = f"quickstart-task={task}-negatives={negatives}-seed={seed}"
            recorded = {50_000: value / 2} if failed else {50_000: value / 2, 100_000: value}
            choice = {"InfoNCE__negatives": f"@negatives.{negatives}"}
            write_run(folder, key, recorded, task=task, seed=seed, status="FAILED" if failed else "FINISHED", estimate=2.0, **choice)
            error = "The loss is <nan> at step 61,000." if failed else None
            grid = {"task": task, "InfoNCE.negatives": f"@negatives.{negatives}"}
            cells.append(Cell(key, "quickstart", (), grid, task, seed, key, "failed" if failed else "finished", 3 * failed, error))
    grid = {"task": "walker_walk", "InfoNCE.negatives": "@negatives.InBatch"}
    cells.append(Cell("quickstart-task=walker_walk-seed=0", "quickstart", (), grid, "walker_walk", 0))
    write_sweep(folder, cells)
    return folder


@pytest.fixture(scope="session")
def made(sweep_folder: Path) -> RunReport:
    """The report of that sweep, written to the sweep's folder."""
    return report("negatives", folder=sweep_folder.parent)
