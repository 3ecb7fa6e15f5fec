import itertools
import math

import pytest
import torch

from framework.errors import UserError
from framework.lab.derivation import CANDIDATES, Setting, measure
from framework.lab.plots_derivation import plot
from framework.lab.report import Report, Row, statistics
from framework.lab.world import Representation, World, entropy
from tests.tiny import seeded

ROUNDING = 1e-12


@pytest.fixture(scope="module")
def report() -> Report:
    return measure(Setting())


@pytest.fixture(scope="module")
def noisy() -> Representation:
    world = World.draw(4, seeded(3))
    return Representation.noisy(world, 3, seeded(4))


def line(report: Report, name: str, latent: str = "noisy") -> Row:
    (row,) = [row for row in report.rows if row.name == name and row.under["latent"] == latent]
    return row


def contrast(report: Report, latent: str) -> list[Row]:
    return [row for row in report.rows if row.name == "Eq. 15" and row.under["latent"] == latent]


def by_enumeration(of: Representation, candidates: int) -> float:
    """Eq. 15 as the sum over every set of other observations."""
    given, observation, total = of.given, of.world.observation, 0.0
    for others in itertools.product(range(len(observation)), repeat=candidates - 1):
        chance = math.prod(observation[other].item() for other in others)
        mean = (given + sum((given[other] for other in others), torch.zeros(given.shape[1]))) / candidates
        total += chance * of.mean(given.log() - mean.log()).item()
    return total


def test_the_subtracted_marginal_has_no_gradient_and_the_reconstruction_has_one(report: Report) -> None:
    assert abs(line(report, "step A: gradient").mean) < 1e-15
    assert line(report, "Eq. 14: gradient").mean > 1e-3


@pytest.mark.parametrize("latent", ["noisy", "collapsed", "one-to-one"])
def test_every_equality_holds_to_rounding(report: Report, latent: str) -> None:
    equalities = ("Eq. 14: best decoder", "step A: subtracted", "step B", "step C", "step C: largest difference")
    rows = [line(report, name, latent) for name in equalities]
    assert all(row.side is None and abs(row.mean - row.truth) < ROUNDING for row in rows)


def test_a_decoder_that_is_not_the_best_bounds_from_below(report: Report) -> None:
    for name in ("Eq. 14", "step A"):
        row = line(report, name)
        assert row.is_lower_bound
        assert row.mean < row.truth - 1e-3


def test_what_a_latent_knows_of_the_situation_is_less_than_of_the_observation(report: Report) -> None:
    row = line(report, "situation")
    assert 0 < row.mean < row.truth


@pytest.mark.parametrize("latent", ["noisy", "one-to-one"])
def test_the_contrast_grows_with_the_candidates_and_stays_below_truth_and_ceiling(report: Report, latent: str) -> None:
    rows = contrast(report, latent)
    means = [row.mean for row in rows]
    assert means == sorted(means)
    assert all(row.mean < min(row.truth, row.ceiling) for row in rows)
    assert rows[-1].mean == pytest.approx(rows[-1].truth, abs=1e-3)


def test_it_shows_every_number_of_candidates_up_to_4096(report: Report) -> None:
    assert [row.under["K"] for row in contrast(report, "noisy")] == list(CANDIDATES) == [2**power for power in range(1, 13)]


def test_collapse_tells_nothing_whatever_the_candidates(report: Report) -> None:
    assert line(report, "step B", "collapsed").truth == pytest.approx(0.0, abs=ROUNDING)
    assert all(abs(row.mean) < ROUNDING for row in contrast(report, "collapsed"))


def test_a_latent_that_names_the_observation_has_all_of_its_entropy() -> None:
    world = World.draw(5, seeded())
    assert Representation.one_to_one(world).information.item() == pytest.approx(entropy(world.observation).item(), abs=ROUNDING)


@pytest.mark.parametrize("candidates", [2, 3, 5])
def test_the_integral_is_the_sum_over_all_sets_of_candidates(noisy: Representation, candidates: int) -> None:
    assert noisy.estimates(torch.tensor([candidates])).item() == pytest.approx(by_enumeration(noisy, candidates), abs=ROUNDING)


def test_the_integral_counts_the_copies_of_a_name() -> None:
    """Of a latent that names its observation, K candidates of which J show the same: `log K - E log J`, J - 1 binomial."""
    world, count = World.draw(3, seeded(5)), 9
    chances = torch.distributions.Binomial(count - 1, world.observation[:, None])
    copies = torch.arange(count, dtype=torch.float64)
    expected = math.log(count) - (world.observation * (chances.log_prob(copies).exp() * (copies + 1).log()).sum(dim=1)).sum()
    assert Representation.one_to_one(world).estimates(torch.tensor([count])).item() == pytest.approx(expected.item(), abs=ROUNDING)


@pytest.mark.parametrize("candidates", [2, 64])
def test_batches_of_the_shipped_bound_agree_with_the_integral(noisy: Representation, candidates: int) -> None:
    sampled = statistics(noisy.sample(candidates, 8192 // candidates, seeded()))
    exact = noisy.estimates(torch.tensor([candidates])).item()
    assert 0 < sampled["stderr"] < 0.03
    assert abs(sampled["mean"] - exact) < 4 * sampled["stderr"]


def test_only_a_step_keeps_all_that_belongs_to_it() -> None:
    rows = measure(Setting(only=("step C",))).rows
    assert {row.name for row in rows} == {"step C", "step C: largest difference"}
    assert len(rows) == 6


def test_an_unknown_line_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'step B'"):
        measure(Setting(only=("stepB",)))


@pytest.mark.parametrize("given", [{"observations": 1}, {"latents": 1}, {"observations": 1000}])
def test_an_impossible_size_is_refused_by_name(given: dict[str, int]) -> None:
    with pytest.raises(UserError, match=f"--{next(iter(given))} .* from 2 to 128"):
        Setting(**given)


def test_the_same_seed_gives_the_same_numbers_and_another_a_different_world() -> None:
    first, again, other = (measure(Setting(only=("step B",), seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first.rows[0].truth != other.rows[0].truth


def test_the_json_has_the_form_of_the_laboratory(report: Report) -> None:
    row = report.json()["rows"][-1]
    assert {"line", "truth", "mean", "stderr", "std", "ceiling", "accuracy", "is_lower_bound"} <= row.keys()
    assert (row["line"], row["is_lower_bound"], row["K"]) == ("Eq. 15", True, 4096)


def test_the_plot_has_a_panel_for_each_latent(report: Report) -> None:
    assert len(plot(report).axes) == 3
    with pytest.raises(UserError, match="shows Eq"):
        plot(measure(Setting(only=("step B",))))
