"""Bounds on correlated Gaussians: the known answers, and what the laboratory refuses."""

import math

import pytest
import torch

from framework.errors import UserError
from framework.lab import bounds
from framework.lab.sources import Pairs
from framework.registry import components


def measured(**given):
    return bounds.measure(bounds.Setting(**{"pairs": 8192, **given}))


def near(row, expected: float, most: float) -> None:
    """Within four standard errors, of which each is small enough that the answer could be missed."""
    assert row.stderr < most
    assert abs(row.mean - expected) < 4 * row.stderr + 0.005


@pytest.mark.parametrize(("nats", "candidates", "expected"), [(2.0, 64, 1.83), (2.0, 128, 1.89), (10.0, 64, 4.12), (10.0, 128, 4.79)])
def test_infonce_with_the_exact_critic(row, nats, candidates, expected):
    report = measured(mutual_information=(nats,), candidates=(candidates,), only=("InfoNCEBound",))
    near(row(report, "InfoNCEBound"), expected, 0.02)


def test_a_density_is_right_on_rows_and_wrong_on_columns(row):
    given = {"mutual_information": (2.0,), "candidates": (1024,), "only": ("InfoNCEBound",), "pairs": 16_384}
    near(row(measured(axis="row", **given), "InfoNCEBound"), 1.98, 0.03)
    column = measured(axis="column", **given)
    near(row(column, "InfoNCEBound", score="log density"), -1.00, 0.04)
    near(row(column, "InfoNCEBound", score="log ratio"), 1.98, 0.03)


KNOWN = {
    2.0: {"NWJ": 2.00, "DonskerVaradhan": 2.00, "SMILE": 2.03, "LeaveOneOut": 2.10},
    6.0: {"NWJ": 6.01, "DonskerVaradhan": 6.12, "SMILE": 6.74, "LeaveOneOut": 7.41},
}


@pytest.mark.parametrize("nats", KNOWN)
def test_the_other_bounds_with_the_exact_critic(row, nats):
    """At 128 candidates. NWJ's mean has heavy tails at 6 nats: its tolerance is its own standard error."""
    names = tuple(name for name in KNOWN[nats] if name in components("bounds"))
    report = measured(mutual_information=(nats,), candidates=(128,), only=names, pairs=16_384)
    for name in names:
        near(row(report, name), KNOWN[nats][name], {2.0: 0.02, 6.0: 0.1}[nats])


def test_flo_at_its_best_is_the_truth(row):
    report = measured(mutual_information=(2.0, 4.0), candidates=(256,), only=("FLO",))
    for nats, expected in ((2.0, 2.01), (4.0, 4.01)):
        assert row(report, "FLO", mutual_information=nats).mean == pytest.approx(expected, abs=0.08)


def test_every_bound_has_a_row_for_each_level(row):
    report = measured(mutual_information=(0.0, 2.0), candidates=(16, 32), pairs=64)
    assert len(report.rows) == 4 * len(components("bounds"))
    assert {each.name for each in report.rows} == set(components("bounds"))
    for each in report.rows:
        assert each.mean is not None, each.note
        assert each.is_lower_bound == (each.mark == "")
        if each.truth == 0 and each.name != "SMILE":
            assert abs(each.mean) < 5 * each.stderr + 0.15


def test_only_bounds_from_below_are_called_lower(row):
    report = measured(mutual_information=(2.0,), candidates=(16,), pairs=64)
    assert row(report, "InfoNCEBound").is_lower_bound
    assert row(report, "LeaveOneOut").mark == "upper bound"
    assert row(report, "DonskerVaradhan").mark == "no bound"


def test_no_capped_estimate_exceeds_its_ceiling():
    for each in measured(mutual_information=(30.0,), candidates=(8,), pairs=64).rows:
        if each.ceiling is not None:
            assert each.ceiling == pytest.approx(math.log(8))
            assert each.mean <= each.ceiling + 1e-5


def test_the_same_seed_gives_the_same_rows():
    given = {"mutual_information": (2.0,), "candidates": (16,), "pairs": 64, "only": ("NWJ",)}
    assert measured(**given).json() == measured(**given).json()
    assert measured(**given).json() != measured(seed=1, **given).json()


def test_a_critic_that_learned_finds_some_of_it(row):
    report = measured(
        mutual_information=(2.0,),
        candidates=(64,),
        critic="trained",
        steps=150,
        dimensions=2,
        pairs=512,
        only=("InfoNCEBound", "LeaveOneOut"),
    )
    assert 0.8 < row(report, "InfoNCEBound").mean < 2.1
    assert row(report, "InfoNCEBound").under["score"] == "learned"
    assert row(report, "LeaveOneOut").mean is None
    assert "not trained" in row(report, "LeaveOneOut").note


def test_the_exact_ratio_is_that_of_the_densities():
    pairs = Pairs.of(2.0, 3)
    x, y = pairs.draw(5, torch.Generator().manual_seed(0))
    assert torch.allclose(pairs.log_ratio(x, y).diagonal(), pairs.log_ratio_of_pairs(x, y), atol=1e-5)
    rho = pairs.rho[0].item()
    naive = torch.distributions.Normal(rho * y, math.sqrt(1 - rho**2)).log_prob(x) - torch.distributions.Normal(0.0, 1.0).log_prob(x)
    assert torch.allclose(naive.sum(dim=1).float(), pairs.log_ratio_of_pairs(x, y), atol=1e-5)
    assert pairs.truth == 2.0


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"mutual_information": (-1.0,)}, "--mutual-information = -1"),
        ({"mutual_information": (math.nan,)}, "--mutual-information = nan"),
        ({"candidates": (1,)}, "--candidates = 1"),
        ({"dimensions": 0}, "--dimensions = 0"),
        ({"pairs": 0}, "--pairs = 0"),
        ({"steps": 0}, "--steps = 0"),
    ],
)
def test_an_impossible_setting_is_named(given, named):
    with pytest.raises(UserError, match=named):
        measured(**given)
