"""Single steps drawn with each batch."""

import pytest
import torch

from framework.errors import UserError


def test_every_stored_step_is_drawn_equally_often(make):
    """50 steps went into each ring of 30, so that 20 to 49 of both streams are left."""
    assert make(added=20).sample().extra is None
    replay = make(added=50, extra=500)
    counts = torch.cat([replay.sample().extra.observation["count"].flatten() for _ in range(48)]).long()
    steps, draws = counts.unique(return_counts=True)
    assert steps.tolist() == [*range(20, 50), *range(1020, 1050)]
    assert draws.sum() == 24_000
    assert (draws - 400).abs().max() < 5 * 400**0.5


def test_each_has_the_observation_and_the_episode_of_one_step(make):
    extra = make(added=25, extra=100).sample().extra
    for count, episode, pixels in zip(extra.observation["count"][:, 0], extra.episode, extra.observation["pixels/front"], strict=True):
        stream, time = divmod(int(count), 1000)
        assert int(episode) == time // (5 + stream) * 2 + stream
        assert (pixels == int(count) % 256).all()


def test_one_seed_draws_the_same_from_every_storage(make):
    def drawn(**changes):
        return make(added=20, extra=10, **changes).sample().extra.observation["count"]

    assert torch.equal(drawn(), drawn())
    assert torch.equal(drawn(), drawn(storage="device"))
    assert not torch.equal(drawn(), drawn(seed=1))


def test_a_negative_number_is_refused(make):
    with pytest.raises(UserError, match=r"Replay.extra is -1"):
        make(extra=-1)
