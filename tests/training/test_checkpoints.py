"""Checkpoints return the saved values, survive any accident but the last save, and lose no error."""

import json
import logging
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dm_env import specs
from torch import nn

from framework.data import Specs
from framework.errors import UserError
from framework.replay.replay import Replay
from framework.training.checkpoints import FORMAT, Checkpoints, find, read

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


def in_a_child(work: Callable[[], None]) -> int | None:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    return process.exitcode


def test_it_gives_back_every_plain_value(checkpoints: Checkpoints) -> None:
    contents = {
        "agent": {"dict": {1: [(2, 2.5), None]}, "true": True, "text": "é", "bytes": b"x", "half": torch.ones(2, dtype=torch.bfloat16)},
        "empty": {},
        "numpy": {"array": np.arange(3, dtype=np.uint32), "scalar": np.float64(0.1), "flag": np.bool_(True)},
    }
    checkpoints.save(12_000, contents)
    step, loaded = checkpoints.load()
    half = loaded["agent"].pop("half")
    array = loaded["numpy"].pop("array")
    assert step == 12_000
    assert loaded == {
        "agent": {"dict": {1: [(2, 2.5), None]}, "true": True, "text": "é", "bytes": b"x"},
        "empty": {},
        "numpy": {"scalar": 0.1, "flag": True},
    }
    assert half.dtype == torch.bfloat16
    assert half.tolist() == [1, 1]
    assert array.tolist() == [0, 1, 2]


def test_it_holds_the_values_of_the_moment_of_the_save(checkpoints: Checkpoints) -> None:
    tensor, array = torch.zeros(1000), np.zeros(1000)
    checkpoints.save(1, {"agent": {"tensor": tensor, "array": array}})
    tensor += 1
    array += 1
    _, contents = checkpoints.load()
    assert contents["agent"]["tensor"].sum() == contents["agent"]["array"].sum() == 0


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


def truncate(folder: Path) -> None:
    file = folder / "agent.pt"
    file.write_bytes(file.read_bytes()[:-10])


def flip(folder: Path) -> None:
    data = bytearray((folder / "agent.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "agent.pt").write_bytes(data)


DAMAGES: list[Callable[[Path], object]] = [
    truncate,
    flip,
    lambda folder: (folder / "agent.pt").unlink(),
    lambda folder: (folder / "progress.json").unlink(),
    lambda folder: (folder / "progress.json").write_text('{"step": 30'),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object]
) -> None:
    write(checkpoints, 100, 200, 300)
    damage(checkpoints.folder / "step-00000300")
    with caplog.at_level(logging.WARNING):
        step, contents = checkpoints.load()
    assert (step, weight(contents)) == (200, [200] * 3)
    assert len(caplog.records) == 1
    assert "step-00000300 is damaged" in caplog.text
    with pytest.raises(UserError, match="step-00000300 is damaged"):
        checkpoints.load("300")


@pytest.mark.parametrize("old", [{}, {"format": FORMAT - 1}], ids=["without a format", "of an old format"])
def test_a_checkpoint_of_another_format_is_refused_in_one_sentence(checkpoints: Checkpoints, old: dict[str, int]) -> None:
    write(checkpoints, 100)
    progress = checkpoints.folder / "step-00000100" / "progress.json"
    content = json.loads(progress.read_text())
    assert (content["step"], list(content["sha256"])) == (100, ["agent.pt"])
    del content["format"]
    progress.write_text(json.dumps(content | old))
    with pytest.raises(UserError, match=rf"step-00000100 has format 1, and this version reads format {FORMAT}: train again"):
        checkpoints.load()


def test_the_pointers_are_not_needed(checkpoints: Checkpoints) -> None:
    write(checkpoints, 100, 200)
    (checkpoints.folder / "pointers.json").unlink()
    assert checkpoints.load()[0] == 200
    assert find(checkpoints.folder, "latest").name == "step-00000200"


def test_a_save_after_going_back_is_the_latest(checkpoints: Checkpoints) -> None:
    write(checkpoints, 100, 200, 300, best=300)
    again = Checkpoints(every=100, keep=3, folder=checkpoints.folder)
    again.load("100")
    write(again, 150)
    assert again.load()[0] == 150
    assert names(again) == ["step-00000100", "step-00000150", "step-00000300"], "the best stays, the rest of that future goes"


def test_saving_a_step_twice_keeps_the_second(checkpoints: Checkpoints) -> None:
    write(checkpoints, 100)
    checkpoints.save(100, {"agent": {"weight": torch.zeros(3)}}, best=True)
    assert weight(checkpoints.load("best")[1]) == [0] * 3
    assert names(checkpoints) == ["step-00000100"]


def test_a_kill_at_any_moment_of_a_save_leaves_one_whole(checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture) -> None:
    write(checkpoints, 100, 200, 300)
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
            write(Checkpoints(every=100, keep=2, folder=checkpoints.folder), 400 + moment)

        deaths += in_a_child(save_and_die) == -signal.SIGKILL
        with caplog.at_level(logging.WARNING):
            step, contents = checkpoints.load()
        assert weight(contents) == [step] * 3
        loaded.add(step)
    assert 3 <= deaths < 14
    assert len(loaded) > 5
    assert not caplog.records, "a name is never on half of a checkpoint"
    assert len(names(checkpoints)) <= 4


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
    assert (tmp_path / "left").read_text() == "pointers.json step-00000100"
    assert weight(checkpoints.load("100")[1]) == [100] * 3
    assert checkpoints.load()[0] == 400


def test_an_error_beside_the_training_is_raised_once(checkpoints: Checkpoints) -> None:
    def saver(folder: Path) -> Callable[[], None]:
        def fail() -> None:
            raise ValueError("torn")

        return fail

    checkpoints.save(1, CONTENTS, replay_saver=saver)
    with pytest.raises(ValueError, match="torn"):
        checkpoints.wait()
    checkpoints.wait()
    write(checkpoints, 2)
    assert names(checkpoints) == ["step-00000002"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write in .*checkpoints: Not a directory; give a folder that can be written"):
        Checkpoints(every=1, folder=tmp_path / "file" / "checkpoints").save(1, CONTENTS)


def test_a_value_that_would_need_code_is_refused_with_its_place(checkpoints: Checkpoints) -> None:
    with pytest.raises(TypeError, match=r"agent\.list\[1\] is a Linear"):
        checkpoints.save(1, {"agent": {"list": [1, nn.Linear(1, 1)]}})


@pytest.mark.parametrize("setting", ["every", "keep"])
def test_settings_below_one_are_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(UserError, match=f"Checkpoints.{setting} is 0"):
        Checkpoints(**({"every": 1, "keep": 1} | {setting: 0}), folder=tmp_path)


@pytest.fixture
def replay() -> Callable[[], Replay]:
    def build() -> Replay:
        size = Specs(observation={"x": specs.Array((1,), np.float32)}, action=specs.BoundedArray((1,), np.float32, -1, 1))
        return Replay(capacity=50, batch=4, length=5, specs=size, streams=1, device=torch.device("cpu"), seed=0)

    return build


class Step:
    def __init__(self, time: int) -> None:
        self.observation = {"x": np.full((1, 1), time, np.float32)}
        self.action = np.zeros((1, 1), np.float32)
        self.reward = np.full(1, time, np.float32)
        self.is_first = self.is_terminal = np.zeros(1, bool)
        self.episode = np.zeros(1, np.int64)


def test_every_checkpoint_holds_its_own_replay_and_shares_the_files_that_did_not_change(
    checkpoints: Checkpoints, replay: Callable[[], Replay]
) -> None:
    ours, expected = replay(), {}
    for step in range(1, 101):
        ours.add(Step(step))
        if step % 20 == 0:
            checkpoints.save(step, CONTENTS, replay_saver=ours.snapshot)
            checkpoints.wait()
            restored = replay()
            restored.load(checkpoints.replay_folder(step))
            expected[step] = restored.sample().reward
    inodes = {step: {file.stat().st_ino for file in checkpoints.replay_folder(step).glob("steps-*.pt")} for step in (60, 80, 100)}
    assert [len(files) for files in inodes.values()] == [3, 3, 3]
    assert [len(inodes[60] & inodes[80]), len(inodes[80] & inodes[100])] == [2, 2]
    for step in (60, 80, 100):
        restored = replay()
        restored.load(checkpoints.replay_folder(step))
        assert restored.steps == step
        assert torch.equal(restored.sample().reward, expected[step])


def test_a_resumed_run_writes_only_new_steps(checkpoints: Checkpoints, replay: Callable[[], Replay]) -> None:
    ours = replay()
    for step in range(1, 21):
        ours.add(Step(step))
    checkpoints.save(20, CONTENTS, replay_saver=ours.snapshot)
    checkpoints.wait()
    again, resumed = Checkpoints(every=20, folder=checkpoints.folder), replay()
    step, _ = again.load()
    resumed.load(again.replay_folder(step))
    resumed.add(Step(21))
    again.save(40, CONTENTS, replay_saver=resumed.snapshot)
    again.wait()
    before, after = ({f.stat().st_ino for f in again.replay_folder(step).glob("steps-*")} for step in (20, 40))
    assert len(before) == 1
    assert before < after
    assert len(after) == 2
