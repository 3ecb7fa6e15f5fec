"""Single steps drawn beside each batch: uniformly over what is stored, and only if asked."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from framework.errors import UserError
from framework.replay.replay import Replay

Make = Callable[..., Replay]


def test_none_are_drawn_unless_asked(make: Make) -> None:
    assert make(added=20).sample().extra is None


def test_every_stored_step_is_drawn_equally_often(make: Make) -> None:
    """50 steps went into each ring of 30, so that 20 to 49 of both streams are left."""
    replay = make(added=50, extra=500)
    drawn = [replay.sample().extra for _ in range(48)]
    counts = torch.cat([each.observation["count"].flatten() for each in drawn if each]).long()
    seen, often = counts.unique(return_counts=True)
    assert seen.tolist() == [*range(20, 50), *range(1020, 1050)]
    assert often.sum() == 24_000
    assert (often - 400).abs().max() < 5 * 400**0.5


def test_a_draw_knows_its_episode(make: Make) -> None:
    replay = make(added=25, extra=100)
    draws = replay.sample().extra
    assert draws is not None
    for count, episode, pixels in zip(draws.observation["count"][:, 0], draws.episode, draws.observation["pixels/front"], strict=True):
        stream, time = divmod(int(count), 1000)
        assert int(episode) == time // (5 + stream) * 2 + stream
        assert (pixels == int(count) % 256).all()


def test_the_same_seed_draws_the_same(make: Make) -> None:
    def drawn(**changes: Any) -> torch.Tensor:
        draws = make(added=20, extra=10, **changes).sample().extra
        assert draws is not None
        return draws.observation["count"]

    assert torch.equal(drawn(), drawn())
    assert torch.equal(drawn(), drawn(storage="device"))
    assert not torch.equal(drawn(), drawn(seed=1))


def test_fewer_than_none_is_refused(make: Make) -> None:
    with pytest.raises(UserError, match=r"Replay.extra is -1"):
        make(extra=-1)
