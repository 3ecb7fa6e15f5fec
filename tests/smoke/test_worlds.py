"""The world of closed form."""

import numpy as np
import pytest

from tests.smoke.worlds import END, Reach

MIDDLE, RIGHT = np.zeros(1), np.ones(1)


def bars(observation):
    """The ends of the red and the green bar, in [-1, 1]."""
    return [2 * observation["pixels"][0, :, color].sum() / 255 / 8 - 1 for color in (0, 1)]


def test_the_image_shows_the_point_and_the_target():
    world = Reach(seed=0)
    step = world.reset()
    for _ in range(16):
        assert bars(step.observation) == pytest.approx([world.point, world.target], abs=0.01)
        assert not step.observation["pixels"][4:].any()
        step = world.step(0.3 * RIGHT)
    assert step.last()
    assert step.discount == 1
    assert world.step(RIGHT).first()


@pytest.mark.parametrize("show", ["pixels", "numbers"])
def test_a_target_of_a_memory_task_is_visible_once(show):
    world = Reach(seed=0, target_visible="at_first", targets="ends", show=show)
    targets = set()
    for _ in range(10):
        step = world.reset()
        visible = bars(step.observation)[1] if show == "pixels" else step.observation["target"][0]
        assert visible == pytest.approx(world.target, abs=0.01)
        targets.add(world.target)
        later = world.step(MIDDLE).observation
        assert not (later["pixels"][..., 1] if show == "pixels" else later["target"]).any()
    assert targets == {END, -END}


def test_an_episode_is_a_function_of_seed_index_and_actions():
    one, other = Reach(seed=3, noise=True), Reach(seed=3, noise=True)
    for _ in range(3):
        one.reset()
    step, again = one.step(RIGHT), other.replay(2, [RIGHT])
    assert step.reward == again.reward
    assert (step.observation["pixels"] == again.observation["pixels"]).all()
    for name, spec in one.observation_spec().items():
        spec.validate(step.observation[name])
