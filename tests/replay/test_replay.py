"""Order, uniformity and the seam of the replay, over every window that there is."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from framework.errors import UserError
from tests.replay.streams import count, counted, extend, same, windows

ADDED = (6, 17, 29, 30, 31, 47, 60, 95)


def time(batch):
    return count(batch) % 1000


@pytest.mark.parametrize("added", ADDED)
def test_each_row_follows_the_one_before_except_at_the_seam(make, added):
    filled = min(added, 30)
    step = count(windows(make(added=added))).diff(dim=1)
    assert set(step.unique().tolist()) == {1, 1 - filled}
    assert (step == 1 - filled).sum() == 2 * 5, "each of 2 streams has one seam, in 5 of its windows' 5 places"


@pytest.mark.parametrize("added", ADDED)
def test_everything_in_a_row_belongs_to_one_step(make, added):
    batch = windows(make(added=added))
    stream, t = count(batch) // 1000, time(batch)
    length = 5 + stream
    oldest = t == added - min(added, 30)
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


def test_it_draws_every_window_equally_often(make):
    replay = make(added=47, batch=200)
    starts = torch.cat([count(replay.sample())[:, 0] for _ in range(150)])
    _, drawn = starts.unique(return_counts=True)
    expected = len(starts) / len(replay)
    assert len(drawn) == len(replay)
    chi_square = ((drawn - expected) ** 2 / expected).sum().item()
    freedom = len(replay) - 1
    assert abs(chi_square - freedom) < 4 * math.sqrt(2 * freedom)


def test_a_sequence_crosses_episodes_and_holds_the_last_step_of_one(make):
    batch = windows(make(added=30))
    resets = batch.is_first[:, 1:]
    assert resets.any(dim=1).sum() > 20
    assert torch.equal(resets, batch.episode[:, 1:] != batch.episode[:, :-1])
    assert batch.is_terminal[:, :-1][resets].any()
    assert (make(added=30, length=25).sample().is_first.sum(dim=1) >= 3).all()


def test_the_seam_is_a_reset_without_an_action(make):
    batch = make(added=43, streams=1, capacity=30).windows(torch.tensor([27]))
    assert time(batch).tolist() == [[40, 41, 42, 13, 14, 15]]
    assert batch.is_first.tolist() == [[True, False, False, True, False, True]]
    assert batch.action[0, :, 0].tolist() == [0, 41, 42, 0, 14, 0]


def test_an_episode_has_one_number_and_shares_it_with_no_other(make):
    batch = windows(make(added=30, streams=3, capacity=90))
    stream = count(batch) // 1000
    names = torch.stack([stream, time(batch) // (5 + stream)], dim=-1)
    both = torch.cat([names, batch.episode[..., None]], dim=-1).flatten(0, 1)
    assert len(both.unique(dim=0)) == len(names.flatten(0, 1).unique(dim=0)) == len(batch.episode.unique())


@pytest.mark.parametrize("streams", [1, 2, 3])
@pytest.mark.parametrize("capacity", [6 * 3, 20, 31])
@pytest.mark.parametrize("added", [0, 1, 9, 40])
def test_it_keeps_the_newest_steps_up_to_its_capacity(make, streams, capacity, added):
    replay = make(added=added, streams=streams, capacity=capacity)
    filled = min(added, capacity // streams)
    assert len(replay) == streams * filled <= capacity
    assert replay.steps == streams * added
    if filled >= replay.length:
        assert time(windows(replay)).unique().tolist() == list(range(added - filled, added))


def test_images_stay_bytes_and_numbers_become_single_precision(make):
    batch = make(added=10).sample()
    assert batch.observation["pixels/front"].dtype == torch.uint8
    assert batch.observation["pixels/front"].shape == (8, 6, 4, 4, 3)
    assert batch.observation["count"].dtype == batch.action.dtype == batch.reward.dtype == torch.float32
    assert batch.is_first.dtype == batch.is_terminal.dtype == torch.bool


@pytest.mark.parametrize("storage", ["memory", "memmap", "device"])
def test_one_seed_draws_the_same_to_the_bit_from_every_storage(make, storage):
    ours, again, different = make(added=47, seed=1), make(added=47, seed=1, storage=storage), make(added=47, seed=2)
    torch.manual_seed(0)
    first = ours.sample()
    torch.manual_seed(1)
    assert same(first, again.sample())
    assert not same(first, different.sample())
    assert all(same(ours.sample(), again.sample()) for _ in range(9))


@pytest.mark.parametrize("storage", ["memory", "memmap", "device"])
def test_a_batch_shares_memory_with_no_other_row_and_not_with_the_replay(make, storage):
    """Windows overlap: a batch of all of them holds each step in several rows, and each of those is a copy."""
    replay = make(added=30, storage=storage, extra=4)
    batch, before = windows(replay), windows(replay)
    for tensor in (batch.action, batch.reward, batch.is_first, batch.is_terminal, batch.episode, *batch.observation.values()):
        untouched = tensor[1:].clone()
        tensor[0] = 1 - tensor[0].byte() if tensor.dtype == torch.bool else tensor[0] + 7
        assert torch.equal(tensor[1:], untouched)
    extra = replay.sample().extra
    extra.observation["count"].add_(7)
    extra.episode.add_(7)
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
        ({"capacity": 10**15}, r"needs \d+\.\d GB, .* bind a smaller Replay.capacity"),
    ],
)
def test_sizes_that_cannot_work_are_refused(make, changes, message):
    with pytest.raises(UserError, match=message):
        make(**changes)


@pytest.mark.parametrize("name", ["reward", "action"])
def test_steps_of_another_shape_are_refused(make, name):
    replay = make()
    with pytest.raises(ValueError, match=name):
        replay.add(replace(counted(2, 0), **{name: np.ones((1, 1), np.float32)}))
    assert len(replay) == 0
