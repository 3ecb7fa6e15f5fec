"""Strategies on sequences of known structure."""

import pytest
import torch

from framework.errors import UserError
from framework.lab import negatives
from framework.lab.settings import NegativesSettings
from framework.lab.sources import Sequences
from framework.registry import components

NOT_MEASURED = {"MoCHi": "unit vectors"}
"""Strategies that the sources cannot serve, and a part of the reason."""


def measured(**settings):
    return negatives.measure(NegativesSettings(**settings))


def check_near(row, expected: float, rounding: float = 0.02) -> None:
    assert row["stderr"] < 0.1
    assert abs(row["mean"] - expected) < 3 * row["stderr"] + rounding


SELECTIONS = ("InBatch", "SameTimestep", "WithinSequence", "CrossSequence")


def test_a_slow_part_makes_the_own_sequence_false_negatives(row):
    report = measured(batches=8, only=SELECTIONS)
    for name, expected in zip(SELECTIONS, (1.9, 1.7, 0.93, 2.05), strict=True):
        check_near(row(report, name), expected)
    assert row(report, "WithinSequence")["stderr"] < 0.02
    shares = [row(report, name)["false_negatives"] for name in ("WithinSequence", "CrossSequence", "InBatch")]
    assert shares == pytest.approx([1.0, 0.0, 31 / 1023])


def test_an_autoregressive_latent_makes_neighbors_false_negatives(row):
    report = measured(source="autoregressive", batches=6, only=(*SELECTIONS, "WindowExcluded"))
    for name, expected in zip((*SELECTIONS, "WindowExcluded"), (3.72, 2.89, 1.93, 3.93, 3.91), strict=True):
        check_near(row(report, name), expected)
    assert row(report, "SameTimestep")["accuracy"] == pytest.approx(0.78, abs=0.03)
    assert row(report, "WindowExcluded")["false_negatives"] == 0.0


@pytest.mark.parametrize(("source", "truth"), [("slow-fast", 1.0), ("autoregressive", 1.740)])
def test_action_negatives_find_the_information_of_the_drive(row, source, truth):
    settings = {"source": source, "batch": 16, "length": 16, "batches": 6, "only": ("ActionNegatives",)}
    few = row(measured(**settings), "ActionNegatives")
    many = row(measured(**settings, bindings=("ActionNegatives.count=150",)), "ActionNegatives")
    assert few["truth"] == many["truth"]
    assert 0.75 * few["truth"] < few["mean"] < many["mean"]
    check_near(many, many["truth"], 0.05)
    assert few["truth"] == pytest.approx(truth, abs=1e-3)
    assert "new in its latent" in few.note


def test_every_strategy_has_a_row_and_is_marked_unless_it_is_a_lower_bound(row):
    report = measured(batch=6, length=5, batches=3)
    assert [each.name for each in report.rows] == list(components("negatives"))
    for each in report.rows:
        if each.name in NOT_MEASURED:
            assert each["mean"] is None
            assert NOT_MEASURED[each.name] in each.note
        else:
            assert each["mean"] is not None, each.note
            assert 0 <= each["false_negatives"] <= 1
            assert each["is_lower_bound"] == (each["mark"] == "") == (not each.note.startswith("no bound"))
    assert row(report, "CrossSequence")["mark"] == "no bound"
    assert "exchangeability" in row(report, "CrossSequence").note
    assert row(report, "InBatch").note == ""


def test_an_anchor_without_negatives_is_refused_if_its_strategy_was_named_and_else_noted(row):
    """A batch of one sequence has no other sequence."""
    settings = {"batch": 1, "length": 8, "batches": 2}
    report = measured(**settings)
    for name in ("CrossSequence", "EpisodeExcluded", "SameTimestep", "WindowExcluded"):
        assert (row(report, name)["mean"] is None) == ("leaves a row without a negative" in row(report, name).note)
    assert row(report, "CrossSequence")["mean"] is None
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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slow_nats": -1.0}, "--slow-nats = -1"),
        ({"fast_nats": float("inf")}, "--fast-nats = inf"),
        ({"source": "autoregressive", "phi": 1.0}, "--phi = 1 .*between -1 and 1"),
        ({"source": "autoregressive", "nats": -2.0}, "--nats = -2"),
        ({"batch": 1, "length": 1}, "--batch x --length = 1"),
        ({"bindings": ("UniformSubset.candidates=5000",)}, "UniformSubset.candidates = 5000, and there are"),
        ({"bindings": ("Debiased.positive_share=1.0",)}, "Debiased.positive_share = 1"),
        ({"bindings": ("HardWeighted.beta='much'",)}, "HardWeighted.beta takes a number"),
        ({"bindings": ("HardWeighted.bet=2.0",)}, "did you mean 'beta'"),
        ({"bindings": ("HardWeighted",)}, "is no binding"),
        ({"only": ("InBatch",), "bindings": ("HardWeighted.beta=2.0",)}, "changes nothing"),
        ({"only": ("CrosSequence",)}, "did you mean 'CrossSequence'"),
    ],
)
def test_an_impossible_setting_is_refused_by_name(settings, message):
    with pytest.raises(UserError, match=message):
        measured(**{"batch": 4, "length": 4, "batches": 2, **settings})


def test_the_sources_have_the_structure_of_their_descriptions():
    generator = torch.Generator().manual_seed(0)
    latents, observations = Sequences.slow_fast(slow_nats=1.0, fast_nats=1.0).draw(3, 5, generator)
    assert torch.equal(latents[:, :1, :4].expand(-1, 5, -1), latents[:, :, :4])
    assert torch.equal(observations[:, :1, :4].expand(-1, 5, -1), observations[:, :, :4])
    assert (latents[:, 0, 4:] != latents[:, 1, 4:]).all()
    source = Sequences.autoregressive(phi=0.9, nats=4.0)
    steps, _ = source.draw(4000, 3, generator)
    assert steps[:, 2].var().item() == pytest.approx(1.0, abs=0.06)
    assert (steps[:, 0] * steps[:, 2]).mean().item() == pytest.approx(0.81, abs=0.06)
    assert source.alike(torch.tensor([0, 3, 4, -3, -4])).tolist() == [True, True, False, True, False]
    assert source.pairs.truth == 4.0


@pytest.mark.parametrize(
    "source", [Sequences.slow_fast(slow_nats=1.0, fast_nats=2.0), Sequences.autoregressive(phi=0.9, nats=4.0)], ids=["slow", "memory"]
)
def test_a_drive_is_the_innovation_of_a_latent(source):
    latents, _ = source.draw(4000, 3, torch.Generator().manual_seed(0))
    drive = source.drive(latents)
    assert torch.allclose(source.driven(latents, drive), latents)
    assert drive.var(dim=0).mean().item() == pytest.approx(1.0, abs=0.03)
    assert (drive[:, 1:] * latents[:, :-1, -4:]).mean().abs() < 0.02
    assert source.driven(latents, drive.flip(0)).var(dim=0).mean().item() == pytest.approx(1.0, abs=0.03)


def test_the_information_of_a_drive_is_that_of_its_gaussians():
    """Against the determinants of samples: `I(o_t; drive_t | s_{t-1})`, in one of the four dimensions."""
    source = Sequences.autoregressive(phi=0.9, nats=4.0)
    latents, observations = source.draw(60_000, 2, torch.Generator().manual_seed(0))
    first = torch.stack([latents[:, 0, 0], observations[:, 0, 0]]).cov()
    joint = torch.stack([observations[:, 1, 0], source.drive(latents)[:, 1, 0], latents[:, 0, 0]]).cov()
    of_first = 0.5 * (first.diagonal().log().sum() - first.logdet())
    of_second = 0.5 * (joint[[0, 2]][:, [0, 2]].logdet() + joint[1:, 1:].logdet() - joint.logdet() - joint[2, 2].log())
    assert source.drive_information(2) == pytest.approx(4 * (of_first + of_second).item() / 2, abs=0.05)
