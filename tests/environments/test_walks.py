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


def views(reach, steps=3000, seed=0):
    walked = [walker.view for walker in walk(CameraWalk, steps, seed, reach=reach)]
    return np.array([[view.right, view.up, view.roll, view.away] for view in walked])


@pytest.mark.parametrize(
    ("colors", "reach", "low", "high"),
    [(GRAY, 0.1, -0.1, 0.1), (GRAY, 1.0, -0.5, 0.5), (0 * GRAY, 0.3, 0, 0.3), (0 * GRAY + 0.9, 0.3, -0.3, 0.1)],
)
def test_colors_walk_by_steps_of_the_papers_size_and_stay_in_reach_and_valid(colors, reach, low, high):
    random = np.random.default_rng(0)
    expected = random.uniform(low, high, (40, 3))
    for walker in walk(ColorWalk, 100, colors=colors, reach=reach):
        np.testing.assert_allclose(walker.tint, expected, atol=1e-12)
        expected = np.clip(expected + 0.03 * reach * random.standard_normal((40, 3)), low, high)


@pytest.mark.parametrize("reach", [0.1, 0.3])
def test_a_camera_stays_in_reach_uses_all_of_it_and_has_the_speeds_of_the_released_code(reach):
    """In distances of 4, as there: at most 0.4 reach in a step."""
    places = views(reach)
    right, up, roll, away = places.T
    limit = np.pi / 2 * reach
    assert (np.abs(places[:, :3]) <= limit + 1e-12).all()
    assert (np.abs(places[:, :3]).max(axis=0) > 0.9 * limit).all()
    assert -0.5 * reach - 1e-12 <= away.min() < -0.4 * reach
    assert 1.3 * reach < away.max() <= 1.5 * reach + 1e-12
    path = (1 + away) * np.stack([np.cos(up) * np.cos(right), np.cos(up) * np.sin(right), np.sin(up)])
    speed = 4 * np.linalg.norm(np.diff(path), axis=0)
    assert speed.max() == pytest.approx(0.4 * reach, rel=1e-3)
    assert np.quantile(speed, 0.5) > 0.25 * reach
    rolling = np.diff(roll / reach)
    assert np.abs(rolling).max() == pytest.approx(np.pi / 50)
    assert np.median(np.abs(np.diff(rolling))) == pytest.approx(0.6745 * np.pi / 300, rel=0.15)


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
    assert all((each.tint == 0).all() for each in walk(ColorWalk, 10, reach=0.0, colors=GRAY))
