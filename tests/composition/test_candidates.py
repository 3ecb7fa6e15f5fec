"""A batch has what a strategy chooses from, leaves every anchor a negative, and is whole for a bound that joins its anchors."""

import pytest

from framework.composition import check

SMALL = ("Replay.batch = 4", "Replay.length = 6")


def texts(*bindings: str) -> list[str]:
    return [str(problem) for problem in check("quickstart", [*SMALL, *bindings])]


@pytest.mark.parametrize(
    ("strategy", "setting", "most", "what"),
    [
        ("UniformSubset", "candidates", 24, "24 candidates; bind from 2 to 24"),
        ("TopK", "count", 23, "23 negatives; bind from 1 to 23"),
        ("Mixed", "count", 23, "23 negatives; bind from 1 to 23"),
    ],
)
def test_no_more_are_chosen_than_there_are(strategy: str, setting: str, most: int, what: str) -> None:
    bound = f"InfoNCE.negatives = @{strategy}"
    assert texts(bound, f"{strategy}.{setting} = {most}") == []
    said = f"{strategy}.{setting} = {most + 1}, and a batch of 4 x 6 steps has {what}, or a larger Replay.batch or Replay.length."
    assert texts(bound, f"{strategy}.{setting} = {most + 1}") == [f"-b '{strategy}.{setting} = {most + 1}' (number 4): {said}"]


def test_a_strategy_inside_may_add_more() -> None:
    inner = "UniformSubset.of = @MemoryQueue"
    assert texts("InfoNCE.negatives = @UniformSubset", inner, "UniformSubset.candidates = 25") == []
    outer = ("InfoNCE.negatives = @MemoryQueue", "MemoryQueue.of = @UniformSubset")
    assert len(texts(*outer, "UniformSubset.candidates = 25")) == 1


@pytest.mark.parametrize(
    ("bindings", "names"),
    [
        (["InfoNCE.negatives = @CrossSequence", "CrossSequence.of = @WithinSequence"], "CrossSequence of WithinSequence"),
        (["InfoNCE.negatives = @SameTimestep", "SameTimestep.of = @WithinSequence"], "SameTimestep of WithinSequence"),
        (["InfoNCE.negatives = @CrossSequence", "Replay.batch = 1"], "CrossSequence"),
        (["InfoNCE.negatives = @SameTimestep", "Replay.batch = 1"], "SameTimestep"),
        (["InfoNCE.negatives = @WithinSequence", "Replay.length = 1"], "WithinSequence"),
        (["InfoNCE.negatives = @InBatch", "Replay.batch = 1", "Replay.length = 1"], "InBatch"),
    ],
)
def test_every_anchor_has_a_negative(bindings: list[str], names: str) -> None:
    found = texts(*bindings)
    assert len(found) == 1, found
    assert f"InfoNCE.negatives leaves no anchor a negative: {names} keeps nothing but the positives" in found[0]
    assert "bind another strategy, or a larger Replay.batch or Replay.length." in found[0]


@pytest.mark.parametrize(
    "bindings",
    [
        ["InfoNCE.negatives = @WithinSequence", "Replay.batch = 1"],
        ["InfoNCE.negatives = @CrossSequence", "Replay.length = 1"],
        ["InfoNCE.negatives = @CrossSequence", "CrossSequence.of = @SameTimestep"],
        ["InfoNCE.negatives = @MemoryQueue", "MemoryQueue.of = @CrossSequence", "Replay.batch = 1"],
    ],
)
def test_one_negative_is_enough(bindings: list[str]) -> None:
    assert texts(*bindings) == []


JOINING = "InfoNCE.bound = @SMILE"


def test_a_bound_that_joins_anchors_has_no_blocks() -> None:
    said = (
        "SMILE joins all anchors of a batch, and 4 x 6 steps are more than InfoNCE.chunk_above = 23, above which it would see them in "
        "blocks; bind InfoNCE.chunk_above = 24, which takes memory for whole matrices, or another InfoNCE.bound."
    )
    assert texts(JOINING, "InfoNCE.chunk_above = 23") == [f"-b '{JOINING}' (number 3): {said}"]
    around = ("InfoNCE.bound = @Penalized", "Penalized.of = @SMILE", "InfoNCE.chunk_above = 23")
    assert [said in text for text in texts(*around)] == [True]


@pytest.mark.parametrize(
    "bindings",
    [
        [JOINING],
        [JOINING, "InfoNCE.chunk_above = 24"],
        ["InfoNCE.bound = @NWJ", "InfoNCE.chunk_above = 23"],
        ["InfoNCE.diagnostics = [@SMILE]", "InfoNCE.chunk_above = 23"],
    ],
)
def test_other_bounds_and_smaller_batches_have(bindings: list[str]) -> None:
    assert texts(*bindings) == []


def test_a_batch_has_at_least_one_step() -> None:
    assert "InfoNCE.chunk_above = 0 must be at least 1" in texts("InfoNCE.chunk_above = 0")[0]
