"""`dream sweep`, where it runs nothing; what it runs is in test_local.py."""

import json
from pathlib import Path

import pytest

from framework import composition
from tests.cli.calls import ROOT, Call, call_dream
from tests.sweeps.conftest import SIZES, TINY


@pytest.fixture
def dream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    return call_dream


def test_a_dry_run_prints_the_cells_and_the_sum_of_their_time_and_leaves_nothing(dream: Call, tmp_path: Path) -> None:
    result = dream("sweep", TINY, "--seeds", "0,7", "--grid", "Trainer.minutes=[30.0, 60.0]", "--processes", 2, "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "CELL                              EXPECTED",
        "tiny-Trainer.minutes=30.0-seed=0  0:30:00",
        "tiny-Trainer.minutes=30.0-seed=7  0:30:00",
        "tiny-Trainer.minutes=60.0-seed=0  1:00:00",
        "tiny-Trainer.minutes=60.0-seed=7  1:00:00",
        "",
        "4 cells, 2 at a time.",
        "Expected are 3:00:00 in all, and 1:30:00 on this machine.",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_as_json_says_what_is_not_known(dream: Call) -> None:
    facts = json.loads(dream("sweep", TINY, "--name", "a", "--processes", 3, "--dry-run", "--json").stdout)
    assert facts == {"name": "a", "processes": 3, "minutes": {"tiny-seed=0": None}, "sum": 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "There is no recipe 'nowhere'"),
        ([TINY, "--grid", "Agent.horizn=[2]"], "Agent (framework/agent.py:"),
        ([TINY, "--seeds", "three"], "'three' must be a number of seeds, as 3, or the seeds themselves, as 0,5,7."),
        ([TINY, "--gpus", 0.25], "a share of an accelerator is what Ray gives: add --ray ADDRESS."),
        ([TINY, "--stop-below", "mean"], "'mean' is not 'median'"),
        ([TINY, TINY], "two cells are the same"),
    ],
)
def test_a_mistake_is_a_sentence_with_status_2(dream: Call, arguments: list[object], words: str) -> None:
    result = dream("sweep", *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_check_takes_the_file_of_a_sweep_with_all_of_its_cells(dream: Call) -> None:
    assert dream("check", SIZES).stdout == f"{SIZES}: nothing is wrong.\n"
    wrong = dream("check", SIZES, "-b", "Agent.horizn=3", "--json")
    assert wrong.exit_code == 2
    (problem,) = json.loads(wrong.stdout)[0]["problems"]
    assert "has no parameter 'horizn'" in problem["message"]
    (unknown,) = json.loads(dream("check", SIZES, "-b", "Sweep.seds=3", "--json").stdout)[0]["problems"]
    assert "Sweep (framework/sweeps/sweep.py:" in unknown["message"]


def test_every_shipped_sweep_is_sound(dream: Call) -> None:
    sweeps = sorted((ROOT / "sweeps").glob("*.gin"))
    assert len(sweeps) >= 1
    for path in sweeps:
        assert composition.is_sweep(path)
        assert dream("check", path).stdout == f"{path}: nothing is wrong.\n"
