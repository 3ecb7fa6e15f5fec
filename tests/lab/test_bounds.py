"""Bounds on correlated Gaussians: known answers, and refused settings."""

import math

import pytest
import torch

from framework.errors import UserError
from framework.lab import bounds
from framework.lab.settings import BoundsSettings
from framework.lab.sources import GaussianPairs
from framework.registry import components


def measured(**settings):
    return bounds.measure(BoundsSettings(**{"pairs": 4096, **settings}))


def check_near(row, expected: float, most: float) -> None:
    """Within four standard errors, which must be small enough for the answer to be missed."""
    assert row["stderr"] < most
    assert abs(row["mean"] - expected) < 4 * row["stderr"] + 0.005


@pytest.mark.parametrize(("nats", "candidates", "expected"), [(2.0, 64, 1.83), (2.0, 128, 1.89), (10.0, 64, 4.12), (10.0, 128, 4.79)])
def test_infonce_has_its_known_value_with_the_exact_critic(row, nats, candidates, expected):
    report = measured(mutual_information=(nats,), candidates=(candidates,), only=("InfoNCEBound",))
    check_near(row(report, "InfoNCEBound"), expected, 0.03)


def test_a_density_is_right_on_rows_and_wrong_on_columns(row):
    settings = {"mutual_information": (2.0,), "candidates": (1024,), "only": ("InfoNCEBound",), "pairs": 8192}
    check_near(row(measured(axis="row", **settings), "InfoNCEBound"), 1.98, 0.03)
    column = measured(axis="column", **settings)
    check_near(row(column, "InfoNCEBound", score="log density"), -1.00, 0.05)
    check_near(row(column, "InfoNCEBound", score="log ratio"), 1.98, 0.03)


KNOWN = {
    2.0: {"NWJ": 2.00, "DonskerVaradhan": 2.00, "SMILE": 2.03, "LeaveOneOut": 2.10},
    6.0: {"NWJ": 6.01, "DonskerVaradhan": 6.12, "SMILE": 6.74, "LeaveOneOut": 7.41},
}


@pytest.mark.parametrize("nats", KNOWN)
def test_each_bound_has_its_known_value_with_the_exact_critic(row, nats):
    """At 128 candidates. The mean of NWJ has heavy tails at 6 nats: its tolerance is its own standard error."""
    report = measured(mutual_information=(nats,), candidates=(128,), only=tuple(KNOWN[nats]), pairs=8192)
    for name, expected in KNOWN[nats].items():
        check_near(row(report, name), expected, {2.0: 0.03, 6.0: 0.15}[nats])


def test_flo_is_the_truth_at_its_optimum(row):
    report = measured(mutual_information=(2.0, 4.0), candidates=(256,), only=("FLO",), pairs=8192)
    for nats, expected in ((2.0, 2.01), (4.0, 4.01)):
        assert row(report, "FLO", truth=nats)["mean"] == pytest.approx(expected, abs=0.1)


def test_every_bound_has_a_row_for_each_level(row):
    report = measured(mutual_information=(0.0, 2.0), candidates=(16, 32), pairs=64)
    assert len(report.rows) == 4 * len(components("bounds"))
    assert {each.name for each in report.rows} == set(components("bounds"))
    for each in report.rows:
        assert each["mean"] is not None, each.note
        assert each["is_lower_bound"] == (each["mark"] == "")
        if each["truth"] == 0 and each.name != "SMILE":
            assert abs(each["mean"]) < 5 * each["stderr"] + 0.15
    assert row(report, "InfoNCEBound", truth=2.0, candidates=16)["is_lower_bound"]
    assert row(report, "LeaveOneOut", truth=2.0, candidates=16)["mark"] == "upper bound"
    assert row(report, "DonskerVaradhan", truth=2.0, candidates=16)["mark"] == "no bound"


def test_no_capped_estimate_exceeds_its_ceiling():
    capped = [row for row in measured(mutual_information=(30.0,), candidates=(8,), pairs=64).rows if row["ceiling"] is not None]
    assert {"InfoNCEBound", "Penalized"} <= {row.name for row in capped}
    assert all(row["ceiling"] == pytest.approx(math.log(8)) and row["mean"] <= row["ceiling"] + 1e-5 for row in capped)


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


def test_the_exact_log_ratio_is_that_of_the_densities():
    pairs = GaussianPairs.of(2.0, 3)
    x, y = pairs.draw(5, torch.Generator().manual_seed(0))
    assert torch.allclose(pairs.log_ratio(x, y).diagonal(), pairs.log_ratio_of_pairs(x, y), atol=1e-5)
    rho = pairs.rho[0].item()
    naive = torch.distributions.Normal(rho * y, math.sqrt(1 - rho**2)).log_prob(x) - torch.distributions.Normal(0.0, 1.0).log_prob(x)
    assert torch.allclose(naive.sum(dim=1).float(), pairs.log_ratio_of_pairs(x, y), atol=1e-5)
    assert pairs.truth == 2.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mutual_information": (-1.0,)}, "--mutual-information = -1"),
        ({"mutual_information": (math.nan,)}, "--mutual-information = nan"),
    ],
)
def test_an_impossible_setting_is_refused_by_name(settings, message):
    with pytest.raises(UserError, match=message):
        measured(**settings)
