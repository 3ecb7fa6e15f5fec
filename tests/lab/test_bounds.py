"""Bounds on correlated Gaussians: known answers."""

import math

import pytest

from framework.lab import bounds
from framework.lab.settings import BoundsSettings
from framework.registry import components

ANSWERS = {
    (2.0, 64): {"InfoNCEBound": 1.83},
    (2.0, 128): {"InfoNCEBound": 1.89, "NWJ": 2.00, "DonskerVaradhan": 2.00, "SMILE": 2.03, "LeaveOneOut": 2.10, "FLO": 2.00},
    (6.0, 128): {"NWJ": 6.01, "DonskerVaradhan": 6.12, "SMILE": 6.74, "LeaveOneOut": 7.41, "FLO": 6.01},
    (10.0, 128): {"InfoNCEBound": 4.79},
}
"""By information and candidates. The mean of NWJ has heavy tails at 6 nats."""


def measured(**settings):
    return bounds.measure(BoundsSettings(**{"pairs": 4096, **settings}))


def check_near(row, expected: float, most: float) -> None:
    """Within four standard errors, which must be small enough for the answer to be missed."""
    assert row["stderr"] < most
    assert abs(row["mean"] - expected) < 4 * row["stderr"] + 0.005


@pytest.mark.parametrize(("nats", "candidates"), ANSWERS)
def test_each_bound_has_its_known_value_with_the_exact_critic(row, nats, candidates):
    answers = ANSWERS[nats, candidates]
    report = measured(mutual_information=(nats,), candidates=(candidates,), only=tuple(answers))
    for name, expected in answers.items():
        check_near(row(report, name), expected, 0.15 if nats == 6.0 else 0.05)


def test_a_density_is_right_on_rows_and_wrong_on_columns(row):
    settings = {"mutual_information": (2.0,), "candidates": (512,), "only": ("InfoNCEBound", "FLO")}
    check_near(row(measured(axis="row", **settings), "InfoNCEBound"), 1.97, 0.05)
    column = measured(axis="column", **settings)
    check_near(row(column, "InfoNCEBound", score="log density"), -0.95, 0.1)
    check_near(row(column, "InfoNCEBound", score="log ratio"), 1.97, 0.05)
    assert row(column, "FLO")["mean"] is None
    assert "which only the row axis gives" in row(column, "FLO").note


def test_every_bound_has_a_row_for_each_level_below_its_ceiling(row):
    report = measured(mutual_information=(0.0, 2.0, 30.0), candidates=(8, 16), pairs=64)
    assert len(report.rows) == 6 * len(components("bounds"))
    for each in report.rows:
        assert each["mean"] is not None, each.note
        assert each["is_lower_bound"] == (each["mark"] == "")
        if each["truth"] == 0 and each.name != "SMILE":
            assert abs(each["mean"]) < 5 * each["stderr"] + 0.15
        if each["ceiling"] is not None:
            assert each["mean"] <= each["ceiling"] + 1e-5
    marks = {name: row(report, name, truth=2.0, candidates=16)["mark"] for name in ("InfoNCEBound", "LeaveOneOut", "DonskerVaradhan")}
    assert marks == {"InfoNCEBound": "", "LeaveOneOut": "upper bound", "DonskerVaradhan": "no bound"}
    assert row(report, "Penalized", truth=2.0, candidates=16)["ceiling"] == pytest.approx(math.log(16))


def test_equal_seeds_give_equal_rows():
    settings = {"mutual_information": (2.0,), "candidates": (16,), "pairs": 64, "only": ("NWJ",)}
    assert measured(**settings).json() == measured(**settings).json()
    assert measured(**settings).rows != measured(seed=1, **settings).rows


def test_a_learned_critic_finds_a_part_of_the_information(row):
    levels = {"mutual_information": (2.0,), "candidates": (64,), "dimensions": 2, "pairs": 512}
    report = measured(critic="trained", steps=100, only=("InfoNCEBound", "LeaveOneOut"), **levels)
    assert 0.8 < row(report, "InfoNCEBound", score="learned")["mean"] < 2.1
    assert row(report, "LeaveOneOut")["mean"] is None
    assert "not trained" in row(report, "LeaveOneOut").note
