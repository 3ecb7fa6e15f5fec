"""Order, uniformity and the seam of the replay, over every window that there is."""

import math
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch

from framework.errors import UserError
from framework.replay import storage
from tests.replay.streams import count, counted, extend, same, tensors, windows

ADDED = (6, 17, 30, 31, 95)


def time(batch):
    return count(batch) % 1000


@pytest.mark.parametrize("added", ADDED)
def test_each_row_follows_the_one_before_except_at_the_seam(make, added):
    filled = min(added, 30)
    step = count(windows(make(added=added))).diff(dim=1)
    assert set(step.unique().tolist()) == {1, 1 - filled}
    assert (step == 1 - filled).sum() == 2 * 5, "each of 2 streams has one seam, in 5 of its windows' 5 places"


@pytest.mark.parametrize("added", ADDED)
def test_everything_in_a_row_belongs_to_one_step_and_the_oldest_is_a_reset(make, added):
    batch = windows(make(added=added))
    stream, t = count(batch) // 1000, time(batch)
    length = 5 + stream
    oldest = t == added - min(added, 30)
    types = {"pixels/front": torch.uint8, "episode": torch.int64, "is_first": torch.bool, "is_terminal": torch.bool}
    assert {name: tensor.dtype for name, tensor in tensors(batch).items()} == dict.fromkeys(
        ("count", "action", "reward"), torch.float32
    ) | types
    assert torch.equal(batch.reward.long(), count(batch))
    assert torch.equal(batch.observation["pixels/front"][..., 3, 2, 1].long(), count(batch) % 256)
    assert torch.equal(batch.is_first, (t % length == 0) | oldest)
    assert torch.equal(batch.is_terminal, (t % length == length - 1) & (t // length % 2 == 1))
    assert torch.equal(batch.action[..., 1].long(), torch.where(batch.is_first, 0, count(batch)))


@pytest.mark.parametrize("added", ADDED)
def test_every_stored_step_lies_in_exactly_as_many_windows_as_any_other(make, added):
    replay = make(added=added)
    steps, times = count(windows(replay)).unique(return_counts=True)
    assert steps.tolist() == [1000 * stream + t for stream in range(2) for t in range(max(0, added - 30), added)]
    assert set(times.tolist()) == {replay.length}


def test_it_draws_every_window_and_every_extra_step_equally_often(make):
    """47 steps went into each ring of 30, so that 17 to 46 of both streams are left."""
    assert make(added=20).sample().extra is None
    replay = make(added=47, batch=200, extra_candidates=200)
    batches = [replay.sample() for _ in range(150)]
    for drawn in (
        torch.cat([count(batch)[:, 0] for batch in batches]),
        torch.cat([batch.extra.observation["count"][:, 0] for batch in batches]),
    ):
        steps, times = drawn.unique(return_counts=True)
        assert steps.tolist() == [*range(17, 47), *range(1017, 1047)]
        expected, freedom = len(drawn) / len(replay), len(replay) - 1
        assert abs(((times - expected) ** 2 / expected).sum().item() - freedom) < 4 * math.sqrt(2 * freedom)


def test_an_extra_step_has_the_observation_and_the_episode_of_one_step(make):
    extra = make(added=25, extra_candidates=100).sample().extra
    for steps, episode, pixels in zip(extra.observation["count"][:, 0], extra.episode, extra.observation["pixels/front"], strict=True):
        stream, t = divmod(int(steps), 1000)
        assert int(episode) == t // (5 + stream) * 2 + stream
        assert (pixels == int(steps) % 256).all()


def test_an_episode_has_one_number_and_shares_it_with_no_other(make):
    batch = windows(make(added=30, streams=3, capacity=90))
    stream = count(batch) // 1000
    names = torch.stack([stream, time(batch) // (5 + stream)], dim=-1)
    both = torch.cat([names, batch.episode[..., None]], dim=-1).flatten(0, 1)
    assert len(both.unique(dim=0)) == len(names.flatten(0, 1).unique(dim=0)) == len(batch.episode.unique())


@pytest.mark.parametrize("added", [9, 20, 40])
def test_no_episode_number_spans_the_jump_from_the_newest_step_to_the_oldest(make, added):
    """Where the first episode has not ended too, as when 9 steps are stored, or 40 in a ring of 30, of an episode of 5 + 1000."""
    replay = make()
    for number in range(added):
        replay.add(replace(counted(2, number), episode=np.array([0, number // 5])))
    batch = windows(replay)
    jumped = count(batch).diff(dim=1) != 1
    assert jumped.any()
    assert (batch.episode.diff(dim=1) != 0)[jumped].all()
    first = batch.episode[count(batch) < 1000]
    assert set(first.tolist()) == {0, 2**62}
    assert (first == 0).sum() > (first != 0).sum()


@pytest.mark.parametrize("streams", [1, 2, 3])
@pytest.mark.parametrize(("capacity", "added"), [(18, 0), (20, 9), (31, 40)])
def test_it_keeps_the_newest_steps_up_to_its_capacity(make, streams, capacity, added):
    replay = make(added=added, streams=streams, capacity=capacity)
    filled = min(added, capacity // streams)
    assert len(replay) == streams * filled <= capacity
    assert replay.steps == streams * added
    if filled >= replay.length:
        assert time(windows(replay)).unique().tolist() == list(range(added - filled, added))


@pytest.mark.parametrize("kind", ["memory", "memmap", "device"])
def test_one_seed_draws_the_same_to_the_bit_from_every_storage(make, kind):
    replay, again, different = (
        make(added=47, extra_candidates=3, **each) for each in ({"seed": 1}, {"seed": 1, "storage": kind}, {"seed": 2})
    )
    torch.manual_seed(0)
    first = replay.sample()
    torch.manual_seed(1)
    assert same(first, again.sample())
    assert not same(first, different.sample())
    assert all(same(replay.sample(), again.sample()) for _ in range(9))


@pytest.mark.parametrize("kind", ["memory", "memmap", "device"])
def test_a_batch_shares_memory_with_no_other_row_and_not_with_the_replay(make, kind):
    """Windows overlap: a batch of all of them holds each step in several rows, and each of those is a copy."""
    replay = make(added=30, storage=kind, extra_candidates=4)
    batch, before = windows(replay), windows(replay)
    for tensor in tensors(batch).values():
        untouched = tensor[1:].clone()
        tensor[0] = 1 - tensor[0].byte() if tensor.dtype == torch.bool else tensor[0] + 7
        assert torch.equal(tensor[1:], untouched)
    for name, tensor in tensors(replay.sample()).items():
        if name.startswith("extra"):
            tensor.add_(7)
    assert not same(batch, before)
    assert same(windows(replay), before)
    unchanged = before.map(torch.clone)
    extend(replay, 30, 60)
    assert same(before, unchanged)


def test_a_sequence_longer_than_what_is_stored_is_refused_with_the_prefill_that_mends_it(make):
    with pytest.raises(UserError, match=r"Replay.length is 6, .* 2 environments has stored 5 steps: prefill at least 12 steps"):
        make(added=5).sample()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"capacity": 11}, r"Replay.capacity is 11, which leaves 5 steps to each of 2 .* bind a capacity of at least 12"),
        ({"batch": 0}, "Replay.batch is 0"),
        ({"length": 0}, "Replay.length is 0"),
        ({"extra_candidates": -1}, "Replay.extra_candidates is -1"),
        (
            {"capacity": 10**12},
            r"Replay.capacity = 1000000000000 takes 74000.0 GB of memory \(1,000,000,000,000 steps x 74 bytes\), and \d+\.\d GB are "
            r"available; bind Replay.capacity = \d+ or less, or Replay.storage = 'memmap'",
        ),
    ],
)
def test_sizes_that_cannot_work_are_refused(make, changes, message):
    with pytest.raises(UserError, match=message):
        make(**changes)


@pytest.mark.parametrize("limit", ["memory.max", "memory.limit_in_bytes"])
def test_the_memory_available_is_bounded_by_every_control_group_around_the_process(tmp_path, limit):
    """The inner group has no limit; the outer one holds 1,000 bytes, of which 500 are in use, 200 of them by the page cache."""
    second = limit == "memory.max"
    outer = tmp_path / "groups" / ("" if second else "memory") / "outer"
    (outer / "inner").mkdir(parents=True)
    (outer / "inner" / limit).write_text("max\n")
    (outer / limit).write_text("1000\n")
    (outer / ("memory.current" if second else "memory.usage_in_bytes")).write_text("500\n")
    (outer / "memory.stat").write_text("anon 300\ninactive_file 200\n")
    (tmp_path / "cgroup").write_text(f"4:pids:/elsewhere\n0:{'' if second else 'memory'}:/outer/inner\n")
    assert list(storage.left_by_groups(tmp_path / "groups", tmp_path / "cgroup")) == [700]
    assert 0 < storage.available_memory() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reward", np.ones((1, 1), np.float32)),
        ("action", np.ones((1, 1), np.float32)),
        ("observation", {"count": np.zeros((2, 1)), "pixels/front": np.full((2, 4, 4, 3), 0.5)}),
    ],
    ids=["reward", "action", "an_image_of_floats"],
)
def test_steps_of_another_shape_or_type_are_refused(make, name, value):
    replay = make()
    with pytest.raises(ValueError, match=name):
        replay.add(replace(counted(2, 0), **{name: value}))
    assert len(replay) == 0
