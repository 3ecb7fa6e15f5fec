"""The files of the replay: exact resume, nothing written twice, nothing lost by a full disk."""

import os
import resource

import pytest
import torch

from framework.errors import UserError
from tests.programs import in_a_child
from tests.replay.streams import extend, same


def chunks(folder):
    return {file.name: file.stat().st_ino for file in folder.glob("steps-*.pt")}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "saved"


@pytest.fixture
def save(folder):
    """Save a replay, after it was extended from its first step to its last."""

    def add_and_save(replay, *edges, folder=folder):
        if edges:
            extend(replay, *edges)
        replay.snapshot(folder)()

    return add_and_save


@pytest.fixture
def restore(make, folder):
    """A replay of another seed, loaded from the folder."""

    def load(folder=folder, **changes):
        replay = make(seed=99, **changes)
        replay.load(folder)
        return replay

    return load


@pytest.mark.parametrize(
    ("storage", "saves"),
    [("memory", (12,)), ("memory", (5, 20)), ("memmap", (17, 29, 31)), ("memory", (25, 47, 95)), ("memmap", (0, 200))],
)
def test_a_restored_replay_continues_to_the_bit(make, save, restore, storage, saves):
    replay = make(storage=storage)
    for first, last in zip((0, *saves), saves, strict=False):
        save(replay, first, last)
        if len(replay) >= 12:
            replay.sample()
            save(replay)
    restored = restore(storage=storage)
    assert (len(restored), restored.steps) == (len(replay), replay.steps)
    for step in range(saves[-1], saves[-1] + 40):
        assert same(replay.sample(), restored.sample())
        extend(replay, step, step + 1)
        extend(restored, step, step + 1)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_save_writes_only_the_steps_since_the_last(make, save, restore, folder, resumed):
    replay = make()
    save(replay, 0, 10)
    before = chunks(folder)
    save(replay)
    assert chunks(folder) == before
    save(restore() if resumed else replay, 10, 14)
    assert len(before) == 1
    assert before.items() < chunks(folder).items()
    (new,) = chunks(folder).keys() - before.keys()
    assert torch.load(folder / new, weights_only=True)["reward"].tolist() == [[10, 11, 12, 13], [1010, 1011, 1012, 1013]]


def test_chunks_that_left_the_ring_are_deleted(make, save, folder):
    replay = make()
    for first in range(0, 100, 10):
        save(replay, first, first + 10)
    assert sorted(int(name.split("-")[1]) for name in chunks(folder)) == [70, 80, 90]


def test_steps_of_another_run_in_the_folder_do_not_count(make, save, restore, folder):
    save(make(added=20))
    replay = make(seed=3)
    save(replay, 500, 525)
    assert same(replay.sample(), restore().sample())
    assert len(chunks(folder)) == 1


def test_a_save_into_another_folder_holds_everything(make, save, restore, folder):
    replay = make()
    save(replay, 0, 10)
    save(replay, 10, 20, folder=folder / "other")
    assert same(replay.sample(), restore(folder / "other").sample())


def test_a_snapshot_holds_the_steps_of_its_moment(make, restore, folder):
    replay = make(added=30)
    write = replay.snapshot(folder)
    extend(replay, 30, 55)
    write()
    assert same(restore().sample(), make(added=30).sample())


def test_a_full_disk_is_an_error_with_the_space_needed_and_loses_nothing(make, save, restore, folder, tmp_path):
    replay, twin = make(added=20), make(added=30)
    save(replay)
    before = sorted(folder.iterdir())

    def save_on_a_full_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        try:
            save(replay, 20, 30)
        except UserError as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            (tmp_path / "message").write_text(f"{error} {sorted(folder.iterdir()) == before}")
            save(replay)

    assert in_a_child(save_on_a_full_disk) == 0
    message = (tmp_path / "message").read_text()
    assert "is full" in message
    assert "MB are needed and" in message
    assert message.endswith("True"), "the folder is unchanged"
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
def test_a_damaged_file_is_named(make, save, restore, folder, name):
    save(make(added=20))
    (file,) = folder.glob(name)
    file.write_bytes(b"garbage")
    with pytest.raises(UserError, match=f"{file.name} is missing or damaged"):
        restore()
