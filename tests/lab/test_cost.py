"""Time and memory of critics and strategies."""

import pytest
import torch

from framework.errors import UserError
from framework.lab.cost import measure
from framework.lab.plots import draw
from framework.lab.settings import CostSettings
from framework.measurement.report import Row
from framework.registry import registry_of

SMALL = {"candidates": 16, "features": 16, "embedding": 8, "device": "cpu"}


@pytest.fixture(autouse=True)
def time_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.lab.cost.REPEATS", 1)
    monkeypatch.setattr("framework.lab.cost.SECONDS", 0.0)


def rows_of(**settings: object) -> list[Row]:
    return [*measure(CostSettings(**(SMALL | settings))).rows]


def test_every_critic_and_every_strategy_is_measured_in_the_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shipped component can go with some other."""
    monkeypatch.setattr("framework.lab.cost.peak_bytes", lambda call, device: call() or 1)
    rows = rows_of()
    critics, strategies = registry_of("critics").list(), registry_of("negatives").list()
    assert [row.name for row in rows[: len(critics)]] == critics
    assert len(rows) == len(critics) + len(strategies) - 1
    assert {row["strategy"] for row in rows} == set(strategies)
    assert all(row["ratio"] is not None for row in rows), [row.note for row in rows]


def test_a_row_has_time_ratio_memory_and_the_cost_of_its_critic() -> None:
    (row,) = rows_of(critics=("BilinearCritic",), strategies=("InBatch",))
    assert row["milliseconds"] > 0
    assert row["ratio"] > 0
    assert row["MiB"] > 2 * 16 * 16 * 4 / 2**20
    assert row["cost"] == registry_of("critics").get("BilinearCritic").cost


def test_a_pair_that_cannot_go_has_the_reason_in_place_of_numbers() -> None:
    (row,) = rows_of(critics=("BilinearCritic",), strategies=("MoCHi",))
    assert row["ratio"] is None
    assert row.note.startswith("cannot go: MoCHi mixes unit vectors")


def test_strategies_by_name_go_with_a_critic_that_serves_them_and_with_defaults_that_fit_the_batch() -> None:
    rows = rows_of(strategies=("MoCHi", "UniformSubset", "WithinCrossMixture"))
    assert [row.name for row in rows] == ["CosineCritic", "BilinearCritic", "BilinearCritic"]
    assert [row.note for row in rows[1:]] == ["candidates = 16", "count = 15"]


def test_names_on_both_sides_are_all_paired_and_drawn() -> None:
    report = measure(CostSettings(**SMALL, critics=("BilinearCritic", "SeparableCritic"), strategies=("InBatch", "SameTimestep", "MoCHi")))
    assert len({(row.name, row["strategy"]) for row in report.rows}) == len(report.rows) == 6
    panels = draw(report).axes
    assert [each.get_text() for each in panels[0].get_yticklabels()] == ["InBatch", "SameTimestep"]
    assert [len(panel.texts) for panel in panels] == [4, 4]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_an_absent_device_is_refused() -> None:
    with pytest.raises(UserError, match="--device cuda"):
        rows_of(device="cuda")
