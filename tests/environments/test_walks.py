import numpy as np
import pytest

from framework.environments.staging import CameraView
from framework.environments.walks import CameraWalk, ColorWalk

GRAY = np.full((40, 3), 0.5)


def walk(make, steps, seed=0, **settings):
    walker = make(random=np.random.default_rng(seed), **settings)
    for _ in range(steps):
        yield walker
        walker.step()


def tints(steps=500, colors=GRAY, reach=0.3):
    return np.array([walker.tint for walker in walk(ColorWalk, steps, colors=colors, reach=reach)])


def views(reach, steps=3000, seed=0):
    walked = [walker.view for walker in walk(CameraWalk, steps, seed, reach=reach)]
    return np.array([[view.right, view.up, view.roll, view.away] for view in walked])


def in_space(places):
    """The positions of a camera that looks at the origin from (1, 0, 0)."""
    right, up, _, away = places.T
    return (1 + away[:, None]) * np.stack([np.cos(up) * np.cos(right), np.cos(up) * np.sin(right), np.sin(up)], axis=-1)


@pytest.mark.parametrize("reach", [0.1, 0.3, 1.0])
def test_colors_begin_anywhere_in_reach_and_never_leave_it(reach):
    shifts, limit = tints(reach=reach), min(reach, 0.5)
    assert shifts.shape == (500, 40, 3)
    assert np.abs(shifts).max() == pytest.approx(limit)
    assert np.abs(shifts[0]).max() > 0.9 * limit
    assert np.abs(shifts[0].mean()) < 0.2 * limit


def test_black_begins_uniformly_in_the_range_above_it():
    """As in the released code; it does not stay black half of the time."""
    black = tints(100, colors=np.zeros((200, 3)))
    assert black.min() == 0
    assert black[0].mean() == pytest.approx(0.15, abs=0.02)
    assert (black[0] == 0).mean() < 0.01


def test_colors_take_steps_of_the_papers_size():
    shifts = tints(400, reach=0.2)
    inner = np.diff(shifts, axis=0)[np.abs(shifts[:-1]) < 0.15]
    assert inner.std() == pytest.approx(0.03 * 0.2, rel=0.05)


@pytest.mark.parametrize("reach", [0.1, 0.3])
def test_a_camera_stays_in_reach_uses_all_of_it_and_has_the_speeds_of_the_released_code(reach):
    """In distances of 4, as there: at most 0.4 reach in a step."""
    places = views(reach)
    limits = np.full(3, np.pi / 2) * reach
    assert (np.abs(places[:, :3]) <= limits + 1e-12).all()
    assert (np.abs(places[:, :3]).max(axis=0) > 0.9 * limits).all()
    assert -0.5 * reach - 1e-12 <= places[:, 3].min() < -0.4 * reach
    assert 1.3 * reach < places[:, 3].max() <= 1.5 * reach + 1e-12
    speed = 4 * np.linalg.norm(np.diff(in_space(places), axis=0), axis=-1)
    assert speed.max() == pytest.approx(0.4 * reach, rel=1e-3)
    assert np.quantile(speed, 0.5) > 0.25 * reach
    rolls = np.diff(places[:, 2] / reach)
    assert np.abs(rolls).max() == pytest.approx(np.pi / 50)
    assert np.median(np.abs(np.diff(rolls))) == pytest.approx(0.6745 * np.pi / 300, rel=0.15)


def test_a_camera_begins_at_a_uniform_speed_and_is_pushed_by_a_normal_one():
    """A tenth of the reach in each direction, in distances of 4; the push shows where neither speed nor place meet their limits."""
    reach = 0.3
    cameras = [CameraWalk(reach=reach, random=np.random.default_rng(seed)) for seed in range(400)]
    assert np.mean([np.linalg.norm(each._speed) for each in cameras]) == pytest.approx(0.1 * reach / 2, rel=0.1)
    quiet = [each for each in cameras if np.linalg.norm(each._speed) < 0.03 * reach and np.abs(each._place).max() < reach]
    before = np.array([each._speed for each in quiet])
    for each in quiet:
        each.step()
    pushes = 4 * (np.array([each._speed for each in quiet]) - before)
    assert len(quiet) > 30
    assert np.median(np.abs(pushes)) == pytest.approx(0.6745 * 0.1 * reach, rel=0.2)


def test_a_reach_of_zero_changes_nothing():
    assert all(each.view == CameraView() for each in walk(CameraWalk, 10, reach=0.0))
    assert (tints(10, reach=0.0) == 0).all()


def test_one_seed_walks_the_same_way_and_another_does_not():
    np.testing.assert_array_equal(views(0.2, 20), views(0.2, 20))
    assert not np.array_equal(views(0.2, 20), views(0.2, 20, seed=1))
