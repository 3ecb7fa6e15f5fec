"""What the replay promises about order, uniformity and the seam, over every window that there is."""

import math
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from framework.data import Batch
from framework.environments.counting import Counting
from framework.environments.vector import VectorEnvironment
from framework.errors import UserError
from framework.replay.replay import Replay

Make = Callable[..., Replay]
ADDED = (6, 17, 29, 30, 31, 47, 60, 95)


def windows(replay: Replay) -> Batch:
    return replay.windows(torch.arange(len(replay)))


def count(batch: Batch) -> Tensor:
    return batch.observation["count"][..., 0].long()


def time(batch: Batch) -> Tensor:
    return count(batch) % 1000


@pytest.mark.parametrize("added", ADDED)
def test_each_row_follows_the_one_before_but_at_the_seam(make: Make, added: int) -> None:
    held = min(added, 30)
    step = count(windows(make(added=added))).diff(dim=1)
    assert set(step.unique().tolist()) == {1, 1 - held}
    assert (step == 1 - held).sum() == 2 * 5, "each of 2 streams has one seam, in 5 of its windows' 5 places"


@pytest.mark.parametrize("added", ADDED)
def test_everything_in_a_row_belongs_to_one_step(make: Make, added: int) -> None:
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
def test_every_stored_step_lies_in_exactly_as_many_windows_as_any_other(make: Make, added: int) -> None:
    replay = make(added=added)
    steps, times = count(windows(replay)).unique(return_counts=True)
    newest = range(max(0, added - 30), added)
    assert steps.tolist() == [1000 * stream + t for stream in range(2) for t in newest]
    assert set(times.tolist()) == {replay.length}


def test_it_draws_every_window_equally_often(make: Make) -> None:
    replay = make(added=47, batch=200)
    starts = torch.cat([count(replay.sample())[:, 0] for _ in range(150)])
    _, drawn = starts.unique(return_counts=True)
    expected = len(starts) / len(replay)
    assert len(drawn) == len(replay)
    chi_square = ((drawn - expected) ** 2 / expected).sum().item()
    freedom = len(replay) - 1
    assert abs(chi_square - freedom) < 4 * math.sqrt(2 * freedom)


def test_a_sequence_crosses_episodes_and_holds_the_last_step_of_one(make: Make) -> None:
    batch = windows(make(added=30))
    inside = batch.is_first[:, 1:]
    assert inside.any(dim=1).sum() > 20
    ends = batch.episode[:, 1:] != batch.episode[:, :-1]
    assert torch.equal(inside, ends), "a reset inside a window is where the episode changes"
    assert batch.is_terminal[:, :-1][inside].any()


def test_a_terminal_step_is_drawn_as_often_as_a_first_one(make: Make) -> None:
    batch = windows(make(added=30, streams=1, capacity=30))
    assert batch.is_terminal.sum() == 3 * 6
    assert batch.is_first.sum() == 6 * 6


def test_the_seam_is_a_reset_without_an_action(make: Make) -> None:
    replay = make(added=43, streams=1, capacity=30)
    batch = replay.windows(torch.tensor([27]))
    assert time(batch).tolist() == [[40, 41, 42, 13, 14, 15]]
    assert batch.is_first.tolist() == [[True, False, False, True, False, True]]
    assert batch.action[0, :, 0].tolist() == [0, 41, 42, 0, 14, 0]


def test_an_episode_has_one_number_and_shares_it_with_no_other(make: Make) -> None:
    batch = windows(make(added=30, streams=3, capacity=90))
    stream = count(batch) // 1000
    ours = torch.stack([stream, time(batch) // (5 + stream)], dim=-1).flatten(0, 1).unique(dim=0)
    both = torch.cat([torch.stack([stream, time(batch) // (5 + stream)], -1), batch.episode[..., None]], -1).flatten(0, 1)
    assert len(both.unique(dim=0)) == len(ours) == len(batch.episode.unique())


@pytest.mark.parametrize("streams", [1, 2, 3])
@pytest.mark.parametrize("capacity", [6 * 3, 20, 31])
@pytest.mark.parametrize("added", [0, 1, 9, 40])
def test_it_keeps_the_newest_steps_up_to_its_capacity(make: Make, streams: int, capacity: int, added: int) -> None:
    replay = make(added=added, streams=streams, capacity=capacity)
    held = min(added, capacity // streams)
    assert len(replay) == streams * held <= capacity
    assert replay.steps == streams * added
    if held >= replay.length:
        assert time(windows(replay)).unique().tolist() == list(range(added - held, added))


def test_what_environments_give_lies_where_the_batch_says() -> None:
    with closing(VectorEnvironment(factory=partial(Counting, length=4, size=2), count=2, seed=0, mode="serial")) as vector:
        replay = Replay(capacity=60, batch=8, length=9, specs=vector.specs, streams=2, device=torch.device("cpu"), seed=0)
        replay.add(vector.reset())
        for step in range(29):
            replay.add(vector.step(np.full((2, 2), step, np.float32)))
    batch = windows(replay)
    t = batch.observation["count"][..., 0].long()
    following = ~batch.is_first[:, 1:]
    assert torch.equal(t[:, 1:][following], t[:, :-1][following] + 1)
    assert torch.equal(batch.reward.long(), t)
    assert torch.equal(batch.is_first, t == 0)
    assert torch.equal(batch.action[:, :, 0] == 0, batch.is_first | ((batch.episode < 2) & (t == 1)))
    inside = following[:, 1:] & following[:, :-1]
    assert (batch.action[:, :, 0].diff(dim=1)[:, 1:][inside] == 1).all()


def test_images_stay_bytes_and_numbers_become_single_precision(make: Make) -> None:
    batch = make(added=10).sample()
    assert batch.observation["pixels/front"].dtype == torch.uint8
    assert batch.observation["pixels/front"].shape == (8, 6, 4, 4, 3)
    assert batch.observation["count"].dtype == batch.action.dtype == batch.reward.dtype == torch.float32
    assert batch.is_first.dtype == batch.is_terminal.dtype == torch.bool


@pytest.mark.parametrize("storage", ["memmap", "device"])
def test_every_storage_draws_the_same_to_the_bit(make: Make, same: Callable[[Batch, Batch], bool], storage: str) -> None:
    memory, other = make(added=47), make(added=47, storage=storage)
    assert all(same(memory.sample(), other.sample()) for _ in range(10))


def test_a_seed_decides_what_is_drawn(make: Make, same: Callable[[Batch, Batch], bool]) -> None:
    ours, again, different = make(added=30, seed=1), make(added=30, seed=1), make(added=30, seed=2)
    torch.manual_seed(0)
    first = ours.sample()
    torch.manual_seed(1)
    assert same(first, again.sample())
    assert not same(first, different.sample())


def test_a_drawn_batch_does_not_change_when_steps_are_added(make: Make, extend: Callable[..., None]) -> None:
    replay = make(added=30)
    batch = replay.sample()
    before = count(batch).clone()
    extend(replay, 30, 60)
    assert torch.equal(count(batch), before)


@pytest.mark.parametrize("storage", ["memory", "memmap", "device"])
def test_writing_into_a_batch_reaches_no_other_row_and_not_the_replay(
    make: Make, same: Callable[[Batch, Batch], bool], storage: str
) -> None:
    """Windows overlap: a batch of all of them holds each step in several rows, and each of those is a copy of its own."""
    replay = make(added=30, storage=storage, extra=4)
    batch, before = windows(replay), windows(replay)
    for tensor in (batch.action, batch.reward, batch.is_first, batch.is_terminal, batch.episode, *batch.observation.values()):
        untouched = tensor[1:].clone()
        tensor[0] = 1 - tensor[0].byte() if tensor.dtype == torch.bool else tensor[0] + 7
        assert torch.equal(tensor[1:], untouched)
    drawn = replay.sample().extra
    assert drawn is not None
    drawn.observation["count"].add_(7)
    drawn.episode.add_(7)
    assert not same(batch, before)
    assert same(windows(replay), before)


def test_a_sequence_longer_than_what_is_stored_is_refused_with_the_prefill_that_mends_it(make: Make) -> None:
    replay = make(added=5)
    with pytest.raises(UserError, match=r"Replay.length is 6, .* 2 environments has given 5 steps: prefill at least 12 steps"):
        replay.sample()


def test_sequences_may_be_longer_than_any_episode(make: Make) -> None:
    batch = make(added=30, length=25).sample()
    assert (batch.is_first.sum(dim=1) >= 3).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"capacity": 11}, r"Replay.capacity is 11, which leaves 5 steps to each of 2 .* bind a capacity of at least 12"),
        ({"batch": 0}, "Replay.batch is 0"),
        ({"length": 0}, "Replay.length is 0"),
        ({"capacity": 10**15}, r"needs \d+\.\d GB, .* bind a smaller Replay.capacity"),
    ],
)
def test_sizes_that_cannot_work_are_refused(make: Make, changes: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(**changes)


@pytest.mark.parametrize("name", ["reward", "action"])
def test_steps_of_another_shape_are_refused(make: Make, counted_steps: Callable[..., Any], name: str) -> None:
    replay = make()
    with pytest.raises(ValueError, match=name):
        replay.add(counted_steps(2, 0, **{name: np.ones((1, 1), np.float32)}))
    assert len(replay) == 0
