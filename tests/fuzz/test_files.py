"""Damaged files of a run are repaired or named: no exception but `UserError`, no hang, no more than a gigabyte."""

import json
import logging
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import framework
from framework import composition
from framework.cli import summary
from framework.errors import UserError
from framework.tracking import jsonl
from framework.training.checkpoints import Checkpoints
from framework.training.pictures import read_curves
from framework.training.policy import export_policy
from tests.fuzz.limits import failures, shards
from tests.fuzz.mutations import mutated_bytes


def read_mirror(home: Path) -> None:
    """Everything that reads the metrics."""
    for record in jsonl.read(home):
        if record["kind"] != "picture":
            read_event(record, home)
    jsonl.truncate(home, 60)
    summary.evaluations(home)
    read_curves(home)


def read_picture(home: Path) -> None:
    read_event({"kind": "picture", "name": "scores", "step": 100, "path": "pictures/contrastive-scores-100.png"}, home)


def read_event(record: dict[str, Any], home: Path) -> None:
    """As it is sent to a store, which passes over what is damaged, and counts it."""
    with suppress(ValueError):
        jsonl.read_event(record, home)


def read_checkpoints(home: Path) -> None:
    """Everything that reads checkpoints; the best one is found, or named, whatever the pointers are."""
    kept = Checkpoints(every=10, folder=home / "checkpoints")
    assert kept.latest is not None
    kept.load()
    export_policy(framework.find_checkpoint(str(home), "best"), home / "exported")


READERS: dict[str, Callable[[Path], object]] = {
    "run.json": lambda home: (framework.find_run("latest", home.parent), framework.find_run(str(home))),
    "metrics.jsonl": read_mirror,
    "pictures/contrastive-scores-100.png": read_picture,
    "resolved.gin": lambda home: composition.check(home / "resolved.gin"),
    "checkpoints/step-00000100/progress.json": read_checkpoints,
    "checkpoints/step-00000100/policy.pt": read_checkpoints,
    "checkpoints/step-00000100/agent.pt": read_checkpoints,
}
"""What reads each file of a run."""


def inputs(seeds: range, home: Path) -> Iterator[tuple[object, Callable[[], object]]]:
    """For each seed, a damaged file, which is whole again afterwards, and what reads it."""
    for seed in seeds:
        rng = random.Random(seed)
        name = rng.choice(sorted(READERS))
        path = home / name
        whole = path.read_bytes()
        path.write_bytes(mutated_bytes(whole, rng))
        yield (seed, name), partial(READERS[name], home)
        path.write_bytes(whole)


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be damaged."""
    (tmp_path / "runs" / "mlflow.db").mkdir(parents=True)
    return Path(shutil.copytree(home, tmp_path / "runs" / home.name))


@pytest.mark.parametrize("seeds", shards(600, 50), ids=str)
def test_a_damaged_file_is_repaired_or_named(seeds: range, copy: Path) -> None:
    assert failures(inputs(seeds, copy)) == []


@pytest.mark.nightly
@pytest.mark.parametrize("seeds", shards(40_000, 2_000), ids=str)
def test_every_damaged_file_is_repaired_or_named(seeds: range, copy: Path) -> None:
    assert failures(inputs(seeds, copy)) == []


def test_a_run_with_a_damaged_line_of_metrics_resumes_without_it(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    mirror = copy / jsonl.MIRROR
    lines = mirror.read_bytes().splitlines(keepends=True)
    damaged = next(number for number, line in enumerate(lines) if b'"metrics"' in line)
    lines[damaged] = lines[damaged].replace(b'"kind"', b'"k\xffnd"')
    mirror.write_bytes(b"".join(lines))
    with caplog.at_level(logging.WARNING):
        result = framework.resume(str(copy), ["Trainer.steps=120"])
    assert result.progress.step == 120
    assert f"metrics.jsonl:{damaged + 1} is damaged and is passed over" in caplog.text
    assert [json.loads(line)["kind"] for line in mirror.read_bytes().splitlines()].count("close") == 2


@pytest.mark.parametrize("text", ["", "null", '{"name": 3}', "\udcff"])
def test_a_damaged_record_of_one_run_leaves_the_others_open(copy: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    other = copy.with_name("other")
    shutil.copytree(copy, other)
    (other / "run.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with caplog.at_level(logging.WARNING):
        assert framework.find_run("latest", copy.parent) == copy
    assert "other/run.json" in caplog.text
    with pytest.raises(UserError, match=r"other/run\.json"):
        framework.find_run(str(other))
