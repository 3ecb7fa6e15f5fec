import numpy as np
import pytest

from framework.environments.staging import View
from framework.environments.walks import CameraWalk, ColorWalk


def walk(make, steps, seed=0, **settings):
    found = make(random=np.random.default_rng(seed), **settings)
    for _ in range(steps):
        yield found
        found.step()


def views(reach, steps=3000, seed=0):
    found = [each.view for each in walk(CameraWalk, steps, seed, reach=reach)]
    return np.array([[view.right, view.up, view.roll, view.away] for view in found])


@pytest.mark.parametrize("reach", [0.1, 0.3, 1.0])
def test_colours_begin_anywhere_in_reach_and_never_leave_it(reach):
    tints = np.array([each.tint for each in walk(ColorWalk, 500, colours=40, reach=reach)])
    assert tints.shape == (500, 40, 3)
    assert np.abs(tints).max() == pytest.approx(reach)
    assert np.abs(tints[0]).max() > 0.9 * reach
    assert np.abs(tints[0].mean()) < 0.2 * reach


def test_colours_take_steps_of_the_papers_size():
    tints = np.array([each.tint for each in walk(ColorWalk, 400, colours=40, reach=0.2)])
    inner = np.diff(tints, axis=0)[np.abs(tints[:-1]) < 0.15]
    assert inner.std() == pytest.approx(0.03 * 0.2, rel=0.05)


@pytest.mark.parametrize("reach", [0.1, 0.3])
def test_a_camera_stays_in_reach_and_uses_all_of_it(reach):
    places = views(reach)
    limits = np.array([np.pi / 2, np.pi / 2, np.pi / 2]) * reach
    assert (np.abs(places[:, :3]) <= limits + 1e-12).all()
    assert (np.abs(places[:, :3]).max(axis=0) > 0.9 * limits).all()
    assert -0.5 * reach - 1e-12 <= places[:, 3].min() < -0.4 * reach
    assert 1.3 * reach < places[:, 3].max() <= 1.5 * reach + 1e-12


def test_a_camera_has_the_speed_that_is_named():
    """It changes by normal numbers whose deviation is 1 in 150, so that half of all changes are larger than 0.6745 of that."""
    places = views(0.3)[:, :3] / (0.3 * np.pi / 2)
    assert np.abs(np.diff(places, axis=0)).max() == pytest.approx(1 / 25)
    assert np.median(np.abs(np.diff(places, n=2, axis=0))) == pytest.approx(0.6745 / 150, rel=0.15)


def test_no_reach_is_no_distraction():
    assert all(each.view == View() for each in walk(CameraWalk, 10, reach=0.0))
    assert all((each.tint == 0).all() for each in walk(ColorWalk, 10, reach=0.0, colours=3))


def test_one_seed_walks_the_same_way_and_another_does_not():
    np.testing.assert_array_equal(views(0.2, 20), views(0.2, 20))
    assert not np.array_equal(views(0.2, 20), views(0.2, 20, seed=1))
