"""Strategies on sequences whose structure is known."""

import pytest
import torch

from framework.errors import UserError
from framework.lab import negatives
from framework.lab.sources import Autoregressive, SlowFast
from framework.registry import components

NEED_ANOTHER = {"MoCHi": "unit vectors"}
"""What this source cannot serve, and the word by which its row says so."""


def measured(**given):
    return negatives.measure(negatives.Setting(**given))


def near(row, expected: float, floor: float) -> None:
    """Within four standard errors; `floor` is how far the issue's own figure is rounded."""
    assert row.stderr < 0.1
    assert abs(row.mean - expected) < 3 * row.stderr + floor


SELECTIONS = ("InBatch", "SameTimestep", "WithinSequence", "CrossSequence")


def test_slow_and_fast(row):
    """A slow part is false negatives to all that keep the own sequence, and nothing to what keeps it alone."""
    report = measured(batches=8, only=SELECTIONS)
    for name, expected in zip(SELECTIONS, (1.9, 1.7, 0.93, 2.05), strict=True):
        near(row(report, name), expected, 0.02 if name != "WithinSequence" else 0.005)
    assert row(report, "WithinSequence").stderr < 0.02
    assert row(report, "WithinSequence").also["false_negatives"] == 1.0
    assert row(report, "CrossSequence").also["false_negatives"] == 0.0
    assert row(report, "InBatch").also["false_negatives"] == pytest.approx(31 / 1023)


def test_an_autoregressive_latent(row):
    report = measured(source="autoregressive", batches=6, only=(*SELECTIONS, "WindowExcluded"))
    for name, expected in zip((*SELECTIONS, "WindowExcluded"), (3.72, 2.89, 1.93, 3.93, 3.91), strict=True):
        near(row(report, name), expected, 0.02)
    assert row(report, "SameTimestep").accuracy == pytest.approx(0.78, abs=0.03)
    assert row(report, "WindowExcluded").also["false_negatives"] == 0.0


@pytest.mark.parametrize(("source", "truth"), [("slow-fast", 1.0), ("autoregressive", 1.665)])
def test_other_actions_tell_what_is_new_in_a_latent(row, source, truth):
    """With few of them nearly all, with many all; a part that is not driven is no part of it."""
    given = {"source": source, "batches": 6, "only": ("ActionNegatives",)}
    few = row(measured(**given), "ActionNegatives")
    many = row(measured(**given, settings=("ActionNegatives.count=200",)), "ActionNegatives")
    assert few.truth == many.truth == pytest.approx(truth, abs=1e-3)
    assert 0.8 * truth < few.mean < many.mean
    near(many, truth, 0.03)
    assert "new in its latent" in few.note


def test_every_strategy_has_a_row(row):
    report = measured(batch=6, length=5, batches=3)
    assert [each.name for each in report.rows] == list(components("negatives"))
    for each in report.rows:
        if each.name in NEED_ANOTHER:
            assert each.mean is None
            assert NEED_ANOTHER[each.name] in each.note
        else:
            assert each.mean is not None, each.note
            assert 0 <= each.also["false_negatives"] <= 1


def test_a_strategy_that_leaves_a_row_alone_is_refused_if_it_was_asked_for_and_else_noted(row):
    """A batch of one sequence has no other sequence."""
    given = {"batch": 1, "length": 8, "batches": 2}
    report = measured(**given)
    for name in ("CrossSequence", "EpisodeExcluded", "SameTimestep", "WindowExcluded"):
        assert (row(report, name).mean is None) == ("leaves a row without a negative" in row(report, name).note)
    assert row(report, "CrossSequence").mean is None
    assert row(report, "WithinSequence").mean is not None
    for asked in ({"only": ("CrossSequence",)}, {"settings": ("CrossSequence.of=@negatives.InBatch",)}):
        with pytest.raises(UserError, match="CrossSequence leaves a row without a negative"):
            measured(**given, **asked)


def test_what_is_no_bound_is_marked_with_its_reason(row):
    report = measured(batch=4, length=4, batches=2)
    assert row(report, "CrossSequence").mark == "no bound"
    assert "exchangeability" in row(report, "CrossSequence").note
    assert row(report, "InBatch").is_lower_bound
    assert row(report, "InBatch").note == ""
    for each in report.rows:
        if each.is_lower_bound is False:
            assert each.note.startswith("no bound")


def test_a_default_too_large_for_the_batch_is_made_smaller_and_said(row):
    report = measured(batch=2, length=4, batches=2, only=("UniformSubset", "InBatch"))
    assert row(report, "UniformSubset").also["settings"] == "candidates = 8"
    assert row(report, "UniformSubset").mean == pytest.approx(row(report, "InBatch").mean, abs=1e-6)


def test_a_queue_is_full_before_anything_is_measured(row):
    report = measured(batch=8, length=8, batches=2, only=("MemoryQueue",), settings=("MemoryQueue.size=100",))
    assert row(report, "MemoryQueue").ceiling == pytest.approx(torch.tensor(164.0).log().item())
    assert row(report, "MemoryQueue").also["settings"] == "size = 100"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"slow_nats": -1.0}, "--slow-nats = -1"),
        ({"fast_nats": float("inf")}, "--fast-nats = inf"),
        ({"source": "autoregressive", "phi": 1.0}, "--phi = 1 .*between -1 and 1"),
        ({"source": "autoregressive", "nats": -2.0}, "--nats = -2"),
        ({"batch": 0}, "--batch = 0"),
        ({"batches": 1}, "--batches = 1"),
        ({"settings": ("UniformSubset.candidates=5000",)}, "UniformSubset.candidates = 5000, and there are"),
        ({"settings": ("Debiased.positive_share=1.0",)}, "Debiased.positive_share = 1"),
        ({"settings": ("HardWeighted.beta='much'",)}, "HardWeighted.beta takes a number"),
        ({"settings": ("HardWeighted.bet=2.0",)}, "did you mean 'beta'"),
        ({"settings": ("HardWeighted",)}, "is no binding"),
        ({"only": ("InBatch",), "settings": ("HardWeighted.beta=2.0",)}, "changes nothing"),
        ({"only": ("CrosSequence",)}, "did you mean 'CrossSequence'"),
    ],
)
def test_an_impossible_setting_is_named(given, named):
    with pytest.raises(UserError, match=named):
        measured(**{"batch": 4, "length": 4, "batches": 2, **given})


def test_the_sources_are_what_they_say():
    generator = torch.Generator().manual_seed(0)
    latents, observations = SlowFast(slow_nats=1.0, fast_nats=1.0).draw(3, 5, generator)
    assert torch.equal(latents[:, :1, :4].expand(-1, 5, -1), latents[:, :, :4])
    assert torch.equal(observations[:, :1, :4].expand(-1, 5, -1), observations[:, :, :4])
    assert (latents[:, 0, 4:] != latents[:, 1, 4:]).all()
    source = Autoregressive(phi=0.9, nats=4.0)
    steps, _ = source.draw(4000, 3, generator)
    assert steps[:, 2].var().item() == pytest.approx(1.0, abs=0.06)
    assert (steps[:, 0] * steps[:, 2]).mean().item() == pytest.approx(0.81, abs=0.06)
    assert source.alike(torch.tensor([0, 3, 4, -3, -4])).tolist() == [True, True, False, True, False]
    assert source.pairs.truth == 4.0


@pytest.mark.parametrize("source", [SlowFast(slow_nats=1.0, fast_nats=2.0), Autoregressive(phi=0.9, nats=4.0)], ids=["slow", "memory"])
def test_a_drive_is_what_a_latent_has_anew(source):
    latents, _ = source.draw(4000, 3, torch.Generator().manual_seed(0))
    drive = source.drive(latents)
    assert torch.allclose(source.driven(latents, drive), latents)
    assert drive.var(dim=0).mean().item() == pytest.approx(1.0, abs=0.03)
    assert (drive[:, 1:] * latents[:, :-1, -4:]).mean().abs() < 0.02
    other = source.driven(latents, drive.flip(0))
    assert other.var(dim=0).mean().item() == pytest.approx(1.0, abs=0.03)


def test_the_truth_of_a_drive_is_that_of_its_gaussians():
    """Against the determinants of what was drawn: `I(o_t; drive_t | s_{t-1})`, in one of the four dimensions."""
    source = Autoregressive(phi=0.9, nats=4.0)
    latents, seen = source.draw(60_000, 2, torch.Generator().manual_seed(0))
    first, second = (torch.stack([latents[:, t, 0], seen[:, t, 0]]) for t in (0, 1))
    given = torch.stack([seen[:, 1, 0], source.drive(latents)[:, 1, 0], latents[:, 0, 0]])
    of_first = 0.5 * (first.cov().diagonal().log().sum() - first.cov().logdet())
    both, apart = given.cov(), [given[[0, 2]].cov(), given[[1, 2]].cov()]
    of_second = 0.5 * (apart[0].logdet() + apart[1].logdet() - both.logdet() - both[2, 2].log())
    assert source.of_drive(2) == pytest.approx(4 * (of_first + of_second).item() / 2, abs=0.05)
    assert second.var(dim=1)[0].item() == pytest.approx(1.0, abs=0.03)
