"""Strategies on sequences of known structure."""

import pytest
import torch

from framework.errors import UserError
from framework.lab import negatives
from framework.lab.settings import NegativesSettings
from framework.registry import components

SELECTIONS = ("InBatch", "SameTimestep", "WithinSequence", "CrossSequence", "WindowExcluded")


def measured(**settings):
    return negatives.measure(NegativesSettings(**settings))


def check_near(row, expected: float, rounding: float = 0.02) -> None:
    assert row["stderr"] < 0.1
    assert abs(row["mean"] - expected) < 3 * row["stderr"] + rounding


def test_a_slow_part_makes_the_own_sequence_false_negatives(row):
    report = measured(batches=6, only=SELECTIONS[:4])
    for name, expected in zip(SELECTIONS, (1.9, 1.7, 0.93, 2.05), strict=False):
        check_near(row(report, name), expected)
    shares = [row(report, name)["false_negatives"] for name in ("WithinSequence", "CrossSequence", "InBatch")]
    assert shares == pytest.approx([1.0, 0.0, 31 / 1023])


def test_an_autoregressive_latent_makes_neighbors_false_negatives(row):
    report = measured(source="autoregressive", batches=6, only=SELECTIONS)
    for name, expected in zip(SELECTIONS, (3.72, 2.89, 1.93, 3.93, 3.91), strict=True):
        check_near(row(report, name), expected)
    assert row(report, "SameTimestep")["accuracy"] == pytest.approx(0.78, abs=0.03)
    assert row(report, "WindowExcluded")["false_negatives"] == 0.0
    within_three_steps = 2 * (31 + 30 + 29)
    assert row(report, "WithinSequence")["false_negatives"] == pytest.approx(within_three_steps / (32 * 31))


@pytest.mark.parametrize(("source", "truth"), [("slow-fast", 1.0), ("autoregressive", 1.740)])
def test_action_negatives_find_the_information_of_the_drive(row, source, truth):
    settings = {"source": source, "batch": 8, "length": 16, "batches": 6, "only": ("ActionNegatives",)}
    few = row(measured(**settings), "ActionNegatives")
    many = row(measured(**settings, bindings=("ActionNegatives.count=150",)), "ActionNegatives")
    assert few["truth"] == many["truth"] == pytest.approx(truth, abs=1e-3)
    assert 0.75 * few["truth"] < few["mean"] < many["mean"]
    check_near(many, many["truth"], 0.05)
    assert "new in its latent" in few.note


def test_every_strategy_has_a_row_and_is_marked_unless_it_is_a_lower_bound(row):
    report = measured(batch=6, length=5, batches=2)
    assert [each.name for each in report.rows] == list(components("negatives"))
    assert [each.name for each in report.rows if each["mean"] is None] == ["MoCHi"]
    assert "unit vectors" in row(report, "MoCHi").note
    for each in report.rows:
        if each["mean"] is not None:
            assert 0 <= each["false_negatives"] <= 1
            assert each["is_lower_bound"] == (each["mark"] == "") == (not each.note.startswith("no bound"))
    assert row(report, "CrossSequence")["mark"] == "no bound"
    assert "exchangeability" in row(report, "CrossSequence").note
    assert row(report, "InBatch").note == ""


def test_an_anchor_without_negatives_is_refused_if_its_strategy_was_named_and_else_noted(row):
    """A batch of one sequence has no other sequence."""
    settings = {"batch": 1, "length": 8, "batches": 2}
    report = measured(**settings)
    for name in ("CrossSequence", "EpisodeExcluded", "SameTimestep"):
        assert row(report, name)["mean"] is None
        assert "leaves a row without a negative" in row(report, name).note
    assert row(report, "WithinSequence")["mean"] is not None
    for named in ({"only": ("CrossSequence",)}, {"bindings": ("CrossSequence.of=@negatives.InBatch",)}):
        with pytest.raises(UserError, match="CrossSequence leaves a row without a negative"):
            measured(**settings, **named)


def test_a_default_too_large_for_the_batch_is_capped_and_shown(row):
    report = measured(batch=2, length=4, batches=2, only=("UniformSubset", "InBatch", "WithinCrossMixture"))
    assert row(report, "UniformSubset")["settings"] == "candidates = 8"
    assert row(report, "UniformSubset")["mean"] == pytest.approx(row(report, "InBatch")["mean"], abs=1e-6)
    assert row(report, "WithinCrossMixture")["settings"] == "count = 7"


def test_a_queue_is_full_at_the_first_measured_batch(row):
    report = measured(batch=8, length=8, batches=2, only=("MemoryQueue",), bindings=("MemoryQueue.size=100",))
    assert row(report, "MemoryQueue")["ceiling"] == pytest.approx(torch.tensor(164.0).log().item())
    assert row(report, "MemoryQueue")["settings"] == "size = 100"
