"""What the replay promises about its files: exact resume, nothing written twice, nothing lost by a kill or a full disk."""

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from framework.data import Batch
from framework.errors import UserError
from framework.replay.replay import Replay

Make = Callable[..., Replay]
Extend = Callable[[Replay, int, int], None]
Same = Callable[[Batch, Batch], bool]


def in_a_child(work: Callable[[], None]) -> int | None:
    """Run in a forked process, which may kill itself; returns its exit code."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    return process.exitcode


def chunks(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_ino for file in folder.glob("steps-*.pt")}


@pytest.mark.parametrize("storage", ["memory", "memmap"])
@pytest.mark.parametrize("saves", [(12,), (5, 20), (17, 29, 31), (25, 47, 95), (0, 200)])
def test_a_restored_replay_goes_on_to_the_bit(
    make: Make, extend: Extend, same: Same, tmp_path: Path, storage: str, saves: tuple[int, ...]
) -> None:
    replay, folder = make(storage=storage), tmp_path / "saved"
    for first, last in zip((0, *saves), saves, strict=False):
        extend(replay, first, last)
        if len(replay) >= 12:
            replay.sample()
        replay.save(folder)
    restored = make(storage=storage, seed=99)
    restored.load(folder)
    assert (len(restored), restored.steps) == (len(replay), replay.steps)
    for step in range(saves[-1], saves[-1] + 40):
        assert same(replay.sample(), restored.sample())
        extend(replay, step, step + 1)
        extend(restored, step, step + 1)


def test_a_save_writes_only_what_came_since_the_last(make: Make, extend: Extend, tmp_path: Path) -> None:
    replay = make(added=10)
    replay.save(tmp_path / "saved")
    before = chunks(tmp_path / "saved")
    extend(replay, 10, 14)
    replay.save(tmp_path / "saved")
    after = chunks(tmp_path / "saved")
    assert len(before) == 1
    assert before.items() < after.items()
    (new,) = after.keys() - before.keys()
    assert torch.load(tmp_path / "saved" / new, weights_only=True)["reward"].tolist() == [
        [10, 11, 12, 13],
        [1010, 1011, 1012, 1013],
    ]


def test_a_save_without_new_steps_writes_none(make: Make, tmp_path: Path) -> None:
    replay = make(added=10)
    replay.save(tmp_path / "saved")
    before = chunks(tmp_path / "saved")
    replay.save(tmp_path / "saved")
    assert chunks(tmp_path / "saved") == before


def test_chunks_that_left_the_ring_are_deleted(make: Make, extend: Extend, tmp_path: Path) -> None:
    replay, folder = make(), tmp_path / "saved"
    for first in range(0, 100, 10):
        extend(replay, first, first + 10)
        replay.save(folder)
    assert len(chunks(folder)) == 3
    assert {int(name.split("-")[1]) for name in chunks(folder)} == {70, 80, 90}


def test_a_restored_replay_saves_only_what_is_new(make: Make, extend: Extend, tmp_path: Path) -> None:
    make(added=10).save(tmp_path / "saved")
    restored = make()
    restored.load(tmp_path / "saved")
    before = chunks(tmp_path / "saved")
    extend(restored, 10, 12)
    restored.save(tmp_path / "saved")
    assert before.items() < chunks(tmp_path / "saved").items()


def test_steps_of_another_run_in_the_folder_do_not_count(make: Make, extend: Extend, same: Same, tmp_path: Path) -> None:
    make(added=20).save(tmp_path / "saved")
    replay = make(seed=3)
    extend(replay, 500, 525)
    replay.save(tmp_path / "saved")
    restored = make()
    restored.load(tmp_path / "saved")
    assert same(replay.sample(), restored.sample())
    assert len(chunks(tmp_path / "saved")) == 1


def test_a_save_into_another_folder_holds_everything(make: Make, extend: Extend, same: Same, tmp_path: Path) -> None:
    replay = make(added=10)
    replay.save(tmp_path / "one")
    extend(replay, 10, 20)
    replay.save(tmp_path / "other")
    restored = make(seed=4)
    restored.load(tmp_path / "other")
    assert same(replay.sample(), restored.sample())


def test_a_snapshot_holds_the_steps_of_its_moment(make: Make, extend: Extend, same: Same, tmp_path: Path) -> None:
    replay, twin = make(added=30), make(added=30)
    write = replay.snapshot(tmp_path / "saved")
    extend(replay, 30, 55)
    write()
    restored = make(seed=5)
    restored.load(tmp_path / "saved")
    assert same(restored.sample(), twin.sample())


def test_a_kill_at_any_moment_of_a_save_leaves_one_save_whole(make: Make, extend: Extend, same: Same, tmp_path: Path) -> None:
    folder, deaths = tmp_path / "saved", 0
    for moment in range(4):
        replay, twin = make(added=20), make(added=20)
        replay.save(folder)

        def save_and_die(replay: Replay = replay, moment: int = moment) -> None:
            extend(replay, 20, 60)
            seen: list[str] = []

            def hook(event: str, _: object) -> None:
                if event in ("os.rename", "os.remove"):
                    seen.append(event)
                    if len(seen) > moment:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            replay.save(folder)

        deaths += in_a_child(save_and_die) == -signal.SIGKILL
        restored = make(seed=7)
        restored.load(folder)
        if restored.steps == 120:
            extend(twin, 20, 60)
        assert restored.steps in (40, 120)
        assert same(restored.sample(), twin.sample())
    assert deaths == 3, "before the chunk's name, before the index, before the old chunk is deleted"


def test_a_full_disk_is_said_with_what_is_needed_and_loses_nothing(make: Make, extend: Extend, same: Same, tmp_path: Path) -> None:
    replay, folder, message = make(added=20), tmp_path / "saved", tmp_path / "message"
    twin = make(added=20)
    replay.save(folder)
    before = sorted(folder.iterdir())

    def save_on_a_full_disk() -> None:
        extend(replay, 20, 30)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        try:
            replay.save(folder)
        except UserError as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            message.write_text(str(error))
            (tmp_path / "left").write_text(str(sorted(folder.iterdir()) == before))
            replay.save(folder)

    restored = make(seed=8)
    work = in_a_child(save_on_a_full_disk)
    assert work == 0
    assert "is full" in message.read_text()
    assert "MB are needed and" in message.read_text()
    assert (tmp_path / "left").read_text() == "True"
    restored.load(folder)
    extend(twin, 20, 30)
    assert same(restored.sample(), twin.sample()), "with space again, the next save holds everything"


def test_a_memory_mapped_ring_takes_its_disk_space_at_once(make: Make, tmp_path: Path) -> None:
    def build() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
        try:
            make(storage="memmap")
        except UserError as error:
            os._exit(7 if "is full" in str(error) else 1)

    assert in_a_child(build) == 7


def test_a_memory_mapped_ring_lies_in_its_folder(make: Make, tmp_path: Path) -> None:
    make(storage="memmap")
    files = list(tmp_path.rglob("*.memmap"))
    assert len(files) == 7
    assert sum(file.stat().st_blocks * 512 for file in files) >= 60 * 48


@pytest.mark.parametrize("name", ["index.pt", "steps-*.pt"])
@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_a_damaged_file_is_named(make: Make, tmp_path: Path, name: str, damage: bytes) -> None:
    make(added=20).save(tmp_path / "saved")
    (file,) = (tmp_path / "saved").glob(name)
    file.write_bytes(damage)
    with pytest.raises(UserError, match=f"{file.name} is missing or damaged"):
        make().load(tmp_path / "saved")


def test_a_replay_of_other_sizes_is_refused_by_naming_both(make: Make, tmp_path: Path) -> None:
    make(added=20).save(tmp_path / "saved")
    with pytest.raises(UserError, match=r"holds 2 streams of 30 steps .*this run's holds 2 streams of 40 steps"):
        make(capacity=80).load(tmp_path / "saved")


def test_only_plain_tensors_are_written(make: Make, tmp_path: Path) -> None:
    make(added=20, storage="memmap").save(tmp_path / "saved")
    contents = [torch.load(file, weights_only=True) for file in (tmp_path / "saved").iterdir()]
    assert len(contents) == 2
    assert {type(column) for content in contents if "reward" in content for column in content["observation"].values()} == {torch.Tensor}
