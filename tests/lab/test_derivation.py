"""The derivation, line by line."""

import itertools
import math

import pytest
import torch

from framework.errors import UserError
from framework.lab.derivation import CANDIDATES, measure
from framework.lab.estimates import average, standard_error
from framework.lab.plots import draw
from framework.lab.settings import DerivationSettings
from framework.lab.world import Representation, World, entropy
from framework.measurement.report import Report, Row
from framework.testing.samples import seeded

ROUNDING = 1e-12


@pytest.fixture(scope="module")
def report() -> Report:
    return measure(DerivationSettings())


@pytest.fixture(scope="module")
def noisy() -> Representation:
    return Representation.noisy(World.draw(4, seeded(3)), 3, seeded(4))


def rows_of(report: Report, name: str, latent: str = "noisy") -> list[Row]:
    return [row for row in report.rows if row.name == name and row["latent"] == latent]


def by_enumeration(of: Representation, candidates: int) -> float:
    """Eq. 7 as the sum over every set of other observations."""
    encoder, observation, total = of.encoder, of.world.observation, 0.0
    for others in itertools.product(range(len(observation)), repeat=candidates - 1):
        probability = math.prod(observation[other].item() for other in others)
        mean = (encoder + sum((encoder[other] for other in others), torch.zeros(encoder.shape[1]))) / candidates
        total += probability * of.mean(encoder.log() - mean.log()).item()
    return total


def test_the_subtracted_marginal_has_no_gradient_and_the_reconstruction_has_one(report: Report) -> None:
    ((subtracted,), (reconstruction,)) = rows_of(report, "Eq. 3: gradient"), rows_of(report, "Eq. 2: gradient")
    assert abs(subtracted["mean"]) < 1e-15
    assert reconstruction["mean"] > 1e-3


@pytest.mark.parametrize("latent", ["noisy", "collapsed", "one-to-one"])
def test_every_equality_holds_to_rounding(report: Report, latent: str) -> None:
    for name in ("Eq. 2: best decoder", "Eq. 3: subtracted", "Eq. 4", "Eq. 5", "Eq. 5: largest difference"):
        (row,) = rows_of(report, name, latent)
        assert row["is_lower_bound"] is None
        assert abs(row["mean"] - row["truth"]) < ROUNDING


@pytest.mark.parametrize("name", ["Eq. 2", "Eq. 3", "situation", "Eq. 6"])
def test_a_line_that_is_no_equality_is_below_its_truth(report: Report, name: str) -> None:
    (row,) = rows_of(report, name)
    assert row["is_lower_bound"]
    assert row["mean"] < row["truth"] - 1e-3


@pytest.mark.parametrize("latent", ["noisy", "one-to-one"])
def test_the_contrast_grows_with_the_candidates_and_stays_below_truth_and_ceiling(report: Report, latent: str) -> None:
    rows = rows_of(report, "Eq. 7", latent)
    means = [row["mean"] for row in rows]
    assert means == sorted(means)
    assert all(row["mean"] < min(row["truth"], row["ceiling"]) for row in rows)
    assert rows[-1]["mean"] == pytest.approx(rows[-1]["truth"], abs=1e-3)
    if latent == "noisy":
        assert [row["K"] for row in rows] == list(CANDIDATES) == [2**power for power in range(1, 13)]


def test_a_collapsed_latent_has_no_information_and_a_one_to_one_latent_all_of_it(report: Report) -> None:
    assert rows_of(report, "Eq. 4", "collapsed")[0]["truth"] == pytest.approx(0.0, abs=ROUNDING)
    assert all(abs(row["mean"]) < ROUNDING for row in rows_of(report, "Eq. 7", "collapsed"))
    world = World.draw(5, seeded())
    assert Representation.one_to_one(world).information.item() == pytest.approx(entropy(world.observation).item(), abs=ROUNDING)


@pytest.mark.parametrize("candidates", [2, 3, 5])
def test_the_integral_is_the_sum_over_all_sets_of_candidates(noisy: Representation, candidates: int) -> None:
    one_to_one = Representation.one_to_one(World.draw(3, seeded(5)))
    for each in (noisy, one_to_one):
        assert each.estimates(torch.tensor([candidates])).item() == pytest.approx(by_enumeration(each, candidates), abs=ROUNDING)


@pytest.mark.parametrize("candidates", [2, 3])
def test_the_exact_score_lacks_what_all_candidates_together_tell(noisy: Representation, candidates: int) -> None:
    observation, encoder = noisy.world.observation, noisy.encoder
    together = torch.zeros(())
    for chosen in itertools.product(range(len(observation)), repeat=candidates):
        latent = encoder[[*chosen]].mean(dim=0)
        together = together + observation[[*chosen]].prod() * (latent * (latent / noisy.latent).log()).sum()
    estimate = noisy.estimates(torch.tensor([candidates])).item()
    assert together > 1e-3
    assert estimate == pytest.approx((noisy.information - together).item(), abs=ROUNDING)


@pytest.mark.parametrize("candidates", [2, 64])
def test_sampled_batches_of_the_shipped_bound_agree_with_the_integral(noisy: Representation, candidates: int) -> None:
    sampled = [*noisy.sample(candidates, 2048 // candidates, seeded())]
    exact = noisy.estimates(torch.tensor([candidates])).item()
    assert 0 < standard_error(sampled) < 0.05
    assert abs(average(sampled) - exact) < 4 * standard_error(sampled)


def test_the_name_of_a_step_selects_all_its_lines() -> None:
    rows = measure(DerivationSettings(only=("Eq. 5",))).rows
    assert [row.name for row in rows] == 3 * ["Eq. 5", "Eq. 5: largest difference"]


def test_equal_seeds_give_equal_rows_and_others_a_different_world() -> None:
    first, again, other = (measure(DerivationSettings(only=("Eq. 4",), seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first.rows[0]["truth"] != other.rows[0]["truth"]


def test_the_picture_has_a_panel_for_each_latent(report: Report) -> None:
    assert len(draw(report).axes) == 3
    with pytest.raises(UserError, match="shows Eq"):
        draw(measure(DerivationSettings(only=("Eq. 4",))))
