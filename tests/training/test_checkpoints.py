"""Checkpoints return the saved values, survive any accident but the last save, and lose no error."""

import json
import logging
import os
import re
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from framework import files
from framework.errors import UserError
from framework.replay.replay import Replay
from framework.training.checkpoints import REPLAY, Checkpoints, find, read
from framework.training.manifest import FORMAT, Manifest
from tests.programs import in_a_child
from tests.replay.streams import SPECS, extend

CONTENTS = {"agent": {"weight": torch.arange(6.0)}, "environments": [3, "x"]}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Iterator[Checkpoints]:
    ours = Checkpoints(every=100, keep=3, folder=tmp_path / "checkpoints")
    yield ours
    ours.wait()


def names(checkpoints: Checkpoints) -> list[str]:
    return sorted(path.name for path in checkpoints.folder.iterdir() if path.is_dir())


def write(checkpoints: Checkpoints, *steps: int, best: int | None = None) -> None:
    for step in steps:
        checkpoints.save(step, {"agent": {"weight": torch.full((3,), step)}}, best=step == best)
    checkpoints.wait()


def weight(contents: dict[str, Any]) -> list[float]:
    return contents["agent"]["weight"].tolist()


def test_it_gives_back_every_plain_value_of_the_moment_of_the_save(checkpoints: Checkpoints) -> None:
    plain = {"dict": {1: [(2, 2.5), None]}, "true": True, "text": "é", "bytes": b"x"}
    half, array = torch.ones(1000, dtype=torch.bfloat16), np.arange(1000, dtype=np.uint32)
    checkpoints.save(12_000, {"agent": plain | {"half": half}, "empty": {}, "numpy": {"array": array, "flag": np.bool_(True)}})
    half += 1
    array += 1
    step, loaded = checkpoints.load()
    assert step == 12_000
    saved_half, saved_array = loaded["agent"].pop("half"), loaded["numpy"].pop("array")
    assert loaded == {"agent": plain, "empty": {}, "numpy": {"flag": True}}
    assert (saved_half.dtype, set(saved_half.tolist())) == (torch.bfloat16, {1.0})
    assert saved_array.tolist() == list(range(1000))


@pytest.mark.parametrize(("step", "last", "due"), [(99, 0, False), (100, 0, True), (260, 199, True), (260, 203, False)])
def test_a_save_is_due_when_a_multiple_was_passed(checkpoints: Checkpoints, step: int, last: int, due: bool) -> None:
    write(checkpoints, last)
    assert checkpoints.due(step) is due


def test_it_keeps_the_latest_and_the_best(checkpoints: Checkpoints) -> None:
    write(checkpoints, 100, 200, 300, 400, 500, best=100)
    assert names(checkpoints) == ["step-00000100", "step-00000300", "step-00000400", "step-00000500"]
    write(checkpoints, 600, 700, 800, 900, best=600)
    assert names(checkpoints) == ["step-00000600", "step-00000700", "step-00000800", "step-00000900"]
    assert checkpoints.latest == checkpoints.folder / "step-00000900"
    assert checkpoints.best == checkpoints.folder / "step-00000600"
    assert weight(checkpoints.load("best")[1]) == [600] * 3


@pytest.mark.parametrize("which", ["200", "step-00000200", "path", "best"])
def test_a_checkpoint_is_found_by_name_step_path_or_rank(checkpoints: Checkpoints, which: str) -> None:
    write(checkpoints, 100, 200, 300, best=200)
    path = checkpoints.folder / "step-00000200"
    assert checkpoints.load(path if which == "path" else which)[0] == 200
    assert find(checkpoints.folder, path if which == "path" else which) == path
    assert read(path)[0] == 200


def test_an_unknown_checkpoint_is_refused_with_those_there_are(checkpoints: Checkpoints) -> None:
    write(checkpoints, 100, 200)
    with pytest.raises(UserError, match=r"no checkpoint '150' in .*; there are: latest, step-00000200, step-00000100"):
        checkpoints.load("150")
    with pytest.raises(UserError, match="There is no checkpoint in"):
        Checkpoints(every=1, folder=checkpoints.folder / "empty").load()


@pytest.mark.parametrize("name", ["../agent.pt", "/agent.pt", "replay/../agent.pt", "a\0.pt", "code.py"])
def test_a_manifest_names_no_file_outside_of_its_checkpoint(checkpoints: Checkpoints, name: str) -> None:
    write(checkpoints, 100)
    folder = checkpoints.folder / "step-00000100"
    replace(Manifest.read(folder), sha256={name: "0"}).write(folder)
    with pytest.raises(UserError, match=r"step-00000100 is damaged \(progress\.json names no files of a checkpoint\)"):
        checkpoints.load("100")


@pytest.mark.parametrize(("old", "number"), [({}, 1), ({"format": FORMAT - 1}, FORMAT - 1)], ids=["without a format", "of an old format"])
def test_a_checkpoint_of_another_format_is_refused_in_one_sentence(checkpoints: Checkpoints, old: dict[str, int], number: int) -> None:
    write(checkpoints, 100)
    (checkpoints.folder / "step-00000100" / "progress.json").write_text(json.dumps({"step": 100, "sha256": {}} | old))
    with pytest.raises(UserError, match=rf"step-00000100 has format {number}, and this version reads format {FORMAT}: train again"):
        checkpoints.load()


def test_a_save_after_going_back_is_the_latest(checkpoints: Checkpoints) -> None:
    write(checkpoints, 100, 200, 300, best=300)
    again = Checkpoints(every=100, keep=3, folder=checkpoints.folder)
    again.load("100")
    write(again, 150)
    assert again.load()[0] == 150
    assert names(again) == [f"step-00000{step}" for step in (100, 150, 200, 300)], "the future that was left stays until it is passed"
    write(again, 200, 250)
    assert names(again) == ["step-00000150", "step-00000200-2", "step-00000250", "step-00000300"]
    write(again, 300, 350, 400)
    assert names(again) == ["step-00000300", "step-00000300-2", "step-00000350", "step-00000400"], "the best stays"


def test_a_second_save_at_a_step_is_a_checkpoint_of_its_own_and_the_latest(checkpoints: Checkpoints) -> None:
    write(checkpoints, 50, 100, best=100)
    checkpoints.save(100, {"agent": {"weight": torch.zeros(3)}})
    for which in ("latest", "100"):
        assert weight(checkpoints.load(which)[1]) == [0] * 3
    assert weight(checkpoints.load("best")[1]) == [100] * 3
    assert names(checkpoints) == ["step-00000050", "step-00000100", "step-00000100-2"]
    write(checkpoints, 100, 100)
    assert names(checkpoints) == ["step-00000100", "step-00000100-2", "step-00000100-3", "step-00000100-4"], "three, and the best"


def test_a_checkpoint_of_another_run_is_refused(checkpoints: Checkpoints, tmp_path: Path) -> None:
    write(checkpoints, 100)
    other = Checkpoints(every=100, folder=tmp_path / "other" / "checkpoints")
    write(other, 200)
    with pytest.raises(UserError, match=r"step-00000200 is of another run than .*; resume that run"):
        checkpoints.load(other.folder / "step-00000200")
    assert checkpoints.load(checkpoints.folder / ".." / "checkpoints" / "step-00000100")[0] == 100


def test_a_kill_at_any_moment_of_a_save_leaves_one_whole(checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture) -> None:
    write(checkpoints, 100, 200, 300, best=100)
    deaths, loaded = 0, set()
    for moment in range(0, 40, 3):

        def save_and_die(moment: int = moment) -> None:
            events: list[str] = []

            def hook(event: str, _: object) -> None:
                if event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
                    events.append(event)
                    if len(events) > moment:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            ours = Checkpoints(every=100, keep=2, folder=checkpoints.folder)
            write(ours, 400 + moment, 400 + moment, best=400 + moment)

        deaths += in_a_child(save_and_die) == -signal.SIGKILL
        with caplog.at_level(logging.WARNING):
            step, contents = checkpoints.load()
        assert weight(contents) == [step] * 3
        assert checkpoints.best is not None
        loaded.add(step)
    assert 3 <= deaths < 14
    assert len(loaded) > 5
    assert not caplog.records, "a name is never on half of a checkpoint"
    assert len(names(checkpoints)) <= 6


def test_a_full_disk_is_raised_at_the_next_call_and_loses_nothing(checkpoints: Checkpoints, tmp_path: Path) -> None:
    write(checkpoints, 100)

    def save_on_a_full_disk() -> None:
        ours = Checkpoints(every=100, folder=checkpoints.folder)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
        ours.save(200, {"agent": {"weight": torch.zeros(1_000_000)}})
        try:
            ours.save(300, CONTENTS)
        except UserError as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            (tmp_path / "message").write_text(str(error))
            (tmp_path / "left").write_text(" ".join(sorted(path.name for path in ours.folder.iterdir())))
            ours.save(400, CONTENTS)
            ours.wait()

    assert in_a_child(save_on_a_full_disk) == 0
    message = (tmp_path / "message").read_text()
    assert "is full" in message
    assert "4.0 MB are needed and" in message
    assert (tmp_path / "left").read_text() == "step-00000100"
    assert weight(checkpoints.load("100")[1]) == [100] * 3
    assert checkpoints.load()[0] == 400


def test_an_error_of_the_thread_is_raised_once(checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("torn")

    with monkeypatch.context() as patch:
        patch.setattr(files, "save", fail)
        checkpoints.save(1, CONTENTS)
        with pytest.raises(ValueError, match="torn"):
            checkpoints.wait()
    write(checkpoints, 2)
    assert names(checkpoints) == ["step-00000002"]


def test_what_cannot_be_written_is_named_with_its_place(checkpoints: Checkpoints, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write in .*checkpoints: Not a directory; give a folder that can be written"):
        Checkpoints(every=1, folder=tmp_path / "file" / "checkpoints").save(1, CONTENTS)
    with pytest.raises(TypeError, match=r"agent\.list\[1\] is a Linear"):
        checkpoints.save(1, {"agent": {"list": [1, nn.Linear(1, 1)]}})
    for setting in ("every", "keep"):
        with pytest.raises(UserError, match=f"Checkpoints.{setting} is 0"):
            Checkpoints(**({"every": 1, "keep": 1} | {setting: 0}), folder=tmp_path)


def replay() -> Replay:
    return Replay(capacity=50, batch=4, length=5, specs=SPECS, streams=1, device=torch.device("cpu"), seed=0)


def replay_inodes(checkpoints: Checkpoints, step: int) -> list[int]:
    return [file.stat().st_ino for file in (find(checkpoints.folder, str(step)) / REPLAY).glob("steps-*.pt")]


def loaded(checkpoints: Checkpoints, step: int) -> Replay:
    restored = replay()
    restored.load(find(checkpoints.folder, str(step)) / REPLAY)
    return restored


def test_every_checkpoint_holds_its_own_replay_and_a_resumed_run_writes_only_new_steps(checkpoints: Checkpoints) -> None:
    ours, again, expected = replay(), Checkpoints(every=20, keep=3, folder=checkpoints.folder), {}
    for step in (20, 40, 60, 80, 100):
        if step == 80:
            ours, checkpoints = loaded(checkpoints, 60), again
            checkpoints.load()
        extend(ours, step - 20, step)
        checkpoints.save(step, CONTENTS, replay_saver=ours.snapshot)
        checkpoints.wait()
        expected[step] = loaded(checkpoints, step).sample().reward
    inodes = {step: set(replay_inodes(checkpoints, step)) for step in (60, 80, 100)}
    assert [len(files) for files in inodes.values()] == [3, 3, 3]
    assert [len(inodes[60] & inodes[80]), len(inodes[80] & inodes[100])] == [2, 2]
    for step in (60, 80, 100):
        restored = loaded(checkpoints, step)
        assert restored.steps == step
        assert torch.equal(restored.sample().reward, expected[step])


@pytest.fixture
def three(checkpoints: Checkpoints) -> Replay:
    """The replay of the last of three checkpoints, at the steps 20, 40 and 60."""
    ours = replay()
    for step in (20, 40, 60):
        extend(ours, step - 20, step)
        checkpoints.save(step, CONTENTS, replay_saver=ours.snapshot)
    checkpoints.wait()
    return ours


def flip(file: Path, place: int, bit: int = 1) -> None:
    """Change one bit of a file, in place, as a disk would."""
    with file.open("r+b") as stream:
        stream.seek(place)
        (byte,) = stream.read(1)
        stream.seek(place)
        stream.write(bytes([byte ^ bit]))


def test_every_flipped_bit_of_a_checkpoint_is_noticed_and_the_one_before_is_loaded(three: Replay, checkpoints: Checkpoints) -> None:
    random = np.random.default_rng(0)
    (last, *_) = sorted(checkpoints.folder.glob("step-*"), reverse=True)
    own = [file for file in last.rglob("*") if file.is_file() and file.stat().st_nlink == 1]
    assert sorted(file.name.partition("-")[0] for file in own) == ["agent.pt", "environments.pt", "index.pt", "progress.json", "steps"]
    noticed, steps = 0, []
    for file in own:
        for place in random.integers(file.stat().st_size, size=8):
            bit = 1 << int(random.integers(8))
            blank = file.name == "progress.json" and chr(file.read_bytes()[place] ^ bit) in " \t\n\r"
            flip(file, int(place), bit)
            step, _ = checkpoints.load()
            noticed += step == 40 or blank
            steps.append(loaded(checkpoints, step).steps)
            flip(file, int(place), bit)
    assert noticed == len(steps) == 40
    assert set(steps) <= {40, 60}
    assert checkpoints.load()[0] == 60


def test_a_damaged_file_of_steps_is_in_no_checkpoint_and_the_next_which_is_due_at_once_is_written_from_memory(
    three: Replay, checkpoints: Checkpoints
) -> None:
    shared = next(file for file in (checkpoints.source / REPLAY).glob("steps-*.pt") if file.stat().st_nlink == 3)
    flip(shared, shared.stat().st_size // 2)
    extend(three, 60, 80)
    checkpoints.save(80, CONTENTS, replay_saver=three.snapshot, best=True)
    with pytest.raises(UserError, match=rf"{shared} is damaged; the replay is written again"):
        checkpoints.wait()
    assert names(checkpoints) == ["step-00000020", "step-00000040", "step-00000060"]
    assert checkpoints.due(80)
    checkpoints.save(80, CONTENTS, replay_saver=three.snapshot)
    assert not checkpoints.due(81)
    assert checkpoints.load()[0] == 80
    assert checkpoints.best == checkpoints.latest
    assert torch.equal(loaded(checkpoints, 80).sample().reward, three.sample().reward)
    checkpoints.save(100, CONTENTS, replay_saver=three.snapshot)
    checkpoints.wait()
    assert not Manifest.read(checkpoints.source).best


def test_it_reads_kept_files_of_steps_in_the_thread(three: Replay, checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    readers, is_changed = set(), Manifest.is_changed

    def watch(manifest: Manifest, folder: Path, name: str) -> bool:
        readers.add(threading.current_thread().name.partition("_")[0])
        return is_changed(manifest, folder, name)

    monkeypatch.setattr(Manifest, "is_changed", watch)
    checkpoints.save(80, CONTENTS, replay_saver=three.snapshot)
    checkpoints.wait()
    assert readers == {"checkpoints"}


@pytest.mark.parametrize("name", ["agent.pt", "progress.json", "index.pt", "steps-*.pt"])
def test_a_checkpoint_that_lacks_a_file_is_passed_over_with_a_warning_and_refused_by_its_name(
    three: Replay, checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    file = next(file for file in checkpoints.source.rglob(name) if file.stat().st_nlink == 1)
    file.unlink()
    with caplog.at_level(logging.WARNING):
        assert checkpoints.load()[0] == 40
    assert len(caplog.records) == 1
    assert re.search(rf"step-00000060 is damaged \(.*{file.name}.*\); load another", caplog.text)
    with pytest.raises(UserError, match="step-00000060 is damaged"):
        checkpoints.load("60")
