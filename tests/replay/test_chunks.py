"""The files of the replay: exact resume, nothing written twice, nothing lost by a kill or a full disk."""

import multiprocessing
import os
import resource
import signal
import sys

import pytest
import torch

from framework.errors import UserError
from tests.replay.streams import extend, same


def in_a_child(work):
    """Run in a forked process, which may kill itself; returns its exit code."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    return process.exitcode


def chunks(folder):
    return {file.name: file.stat().st_ino for file in folder.glob("steps-*.pt")}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "saved"


@pytest.fixture
def restore(make, folder):
    """A replay of another seed, loaded from the folder."""

    def load(folder=folder, **changes):
        replay = make(seed=99, **changes)
        replay.load(folder)
        return replay

    return load


@pytest.mark.parametrize("storage", ["memory", "memmap"])
@pytest.mark.parametrize("saves", [(12,), (5, 20), (17, 29, 31), (25, 47, 95), (0, 200)])
def test_a_restored_replay_continues_to_the_bit(make, restore, folder, storage, saves):
    replay = make(storage=storage)
    for first, last in zip((0, *saves), saves, strict=False):
        extend(replay, first, last)
        if len(replay) >= 12:
            replay.sample()
        replay.save(folder)
    restored = restore(storage=storage)
    assert (len(restored), restored.steps) == (len(replay), replay.steps)
    for step in range(saves[-1], saves[-1] + 40):
        assert same(replay.sample(), restored.sample())
        extend(replay, step, step + 1)
        extend(restored, step, step + 1)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_save_writes_only_the_steps_since_the_last(make, restore, folder, resumed):
    replay = make(added=10)
    replay.save(folder)
    before = chunks(folder)
    replay.save(folder)
    assert chunks(folder) == before
    replay = restore() if resumed else replay
    extend(replay, 10, 14)
    replay.save(folder)
    assert len(before) == 1
    assert before.items() < chunks(folder).items()
    (new,) = chunks(folder).keys() - before.keys()
    assert torch.load(folder / new, weights_only=True)["reward"].tolist() == [[10, 11, 12, 13], [1010, 1011, 1012, 1013]]


def test_chunks_that_left_the_ring_are_deleted(make, folder):
    replay = make()
    for first in range(0, 100, 10):
        extend(replay, first, first + 10)
        replay.save(folder)
    assert len(chunks(folder)) == 3
    assert {int(name.split("-")[1]) for name in chunks(folder)} == {70, 80, 90}


def test_steps_of_another_run_in_the_folder_do_not_count(make, restore, folder):
    make(added=20).save(folder)
    replay = make(seed=3)
    extend(replay, 500, 525)
    replay.save(folder)
    assert same(replay.sample(), restore().sample())
    assert len(chunks(folder)) == 1


def test_a_save_into_another_folder_holds_everything(make, restore, folder):
    replay = make(added=10)
    replay.save(folder)
    extend(replay, 10, 20)
    replay.save(folder / "other")
    assert same(replay.sample(), restore(folder / "other").sample())


def test_a_snapshot_holds_the_steps_of_its_moment(make, restore, folder):
    replay = make(added=30)
    write = replay.snapshot(folder)
    extend(replay, 30, 55)
    write()
    assert same(restore().sample(), make(added=30).sample())


def test_a_kill_at_any_moment_of_a_save_leaves_one_save_whole(make, restore, folder):
    deaths = 0
    for moment in range(4):
        replay, twin = make(added=20), make(added=20)
        replay.save(folder)

        def save_and_die(replay=replay, moment=moment):
            extend(replay, 20, 60)
            calls = []

            def hook(event, _):
                if event in ("os.rename", "os.remove"):
                    calls.append(event)
                    if len(calls) > moment:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            replay.save(folder)

        deaths += in_a_child(save_and_die) == -signal.SIGKILL
        restored = restore()
        if restored.steps == 120:
            extend(twin, 20, 60)
        assert restored.steps in (40, 120)
        assert same(restored.sample(), twin.sample())
    assert deaths == 3, "before the chunk's name, before the index, before the old chunk is deleted"


def test_a_full_disk_is_an_error_with_the_space_needed_and_loses_nothing(make, restore, folder, tmp_path):
    replay, twin = make(added=20), make(added=20)
    replay.save(folder)
    before = sorted(folder.iterdir())

    def save_on_a_full_disk():
        extend(replay, 20, 30)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        try:
            replay.save(folder)
        except UserError as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            (tmp_path / "message").write_text(str(error))
            (tmp_path / "unchanged").write_text(str(sorted(folder.iterdir()) == before))
            replay.save(folder)

    assert in_a_child(save_on_a_full_disk) == 0
    assert "is full" in (tmp_path / "message").read_text()
    assert "MB are needed and" in (tmp_path / "message").read_text()
    assert (tmp_path / "unchanged").read_text() == "True"
    extend(twin, 20, 30)
    assert same(restore().sample(), twin.sample()), "with space again, the next save holds everything"


def test_a_memory_mapped_ring_takes_its_disk_space_at_once(make, tmp_path):
    def build():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
        try:
            make(storage="memmap")
        except UserError as error:
            os._exit(7 if "is full" in str(error) else 1)

    assert in_a_child(build) == 7
    make(storage="memmap")
    files = list(tmp_path.rglob("*.memmap"))
    assert len(files) == 7
    assert sum(file.stat().st_blocks * 512 for file in files) >= 60 * 48


@pytest.mark.parametrize("name", ["index.pt", "steps-*.pt"])
@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_a_damaged_file_is_named(make, restore, folder, name, damage):
    make(added=20).save(folder)
    (file,) = folder.glob(name)
    file.write_bytes(damage)
    with pytest.raises(UserError, match=f"{file.name} is missing or damaged"):
        restore()


def test_a_replay_of_other_sizes_is_refused_by_naming_both(make, restore, folder):
    make(added=20).save(folder)
    with pytest.raises(UserError, match=r"holds 2 streams of 30 steps .*this run's holds 2 streams of 40 steps"):
        restore(capacity=80)
