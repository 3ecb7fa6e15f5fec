"""Cells of small agents."""

from pathlib import Path

import pytest

from framework.sweeps.cells import PlannedCell, plan_cells
from framework.sweeps.source import SweepSource, read_source

HERE = Path(__file__).parent
TINY, SIZES = HERE.parent / "training" / "tiny.gin", HERE / "sizes.gin"
Planned = tuple[SweepSource, list[PlannedCell]]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRACKING_URI", "RUN_CONTEXT", "EXPERIMENT_NAME", "EXPERIMENT_ID"):
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)


@pytest.fixture(scope="session")
def four() -> Planned:
    """Four cells of one task, which take 100 steps."""
    source = read_source([TINY], seeds=4)
    return source, plan_cells(source)
