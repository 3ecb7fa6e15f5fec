"""Observations, rewards and flags of a dm_env environment: their form, and the comparison with what was declared."""

from typing import Any

import dm_env
import numpy as np
import pytest
from dm_env import specs

from framework.environments.observations import ObservationForm
from framework.environments.server import EnvironmentServer
from framework.errors import UserError

IMAGE = np.full((8, 6, 3), 9, np.uint8)
FIRST, MID, LAST = dm_env.StepType


class Mismatch(dm_env.Environment):
    """Declares an image and a position, and gives what it is told to at its first step or, with `step`, at its second."""

    def __init__(self, *, first: Any = None, step: Any = None, seed: int = 0, **shows: Any) -> None:
        shown = {"image": IMAGE, "position": np.zeros(2)} | shows
        self.first = first or dm_env.restart(shown)
        self.second = step or dm_env.transition(1.0, shown)

    def reset(self) -> Any:
        return self.first

    def step(self, action: np.ndarray) -> Any:
        return self.second

    def observation_spec(self) -> dict[str, specs.Array]:
        return {"image": specs.BoundedArray((8, 6, 3), np.uint8, 0, 255), "position": specs.Array((2,), np.float32)}

    def action_spec(self) -> specs.Array:
        return specs.BoundedArray((1,), np.float32, -1, 1)


def play(**gives: Any) -> dm_env.TimeStep:
    server = EnvironmentServer(lambda seed: Mismatch(**gives), seed=0)
    server.reset()
    return server.step(np.zeros(1))


def shown(**arrays: Any) -> dict[str, Any]:
    return {"image": IMAGE, "position": np.zeros(2)} | arrays


@pytest.mark.parametrize(
    ("gives", "words"),
    [
        ({"image": IMAGE / 255}, "'image' as uint8 of shape (8, 6, 3) from 0 to 255, and gives float64 of shape (8, 6, 3) from 0.0352941"),
        ({"image": IMAGE.astype(int) - 10}, "and gives int64 of shape (8, 6, 3) from -1 to -1; make the two agree."),
        ({"image": IMAGE > 0}, "and gives bool of shape (8, 6, 3)"),
        ({"image": IMAGE[:5]}, "and gives uint8 of shape (5, 6, 3)"),
        ({"image": [[0], [0, 1]]}, "and gives [[0], [0, 1]]"),
        ({"position": np.zeros(3)}, "'position' as float32 of shape (2,), and gives float64 of shape (3,) from 0 to 0"),
        ({"position": "north"}, "and gives 'north'"),
        ({"position": np.array([0, np.nan])}, "gives nan in 'position' at [1], which is no finite float32."),
        ({"position": np.array([-np.inf, 0])}, "gives -inf in 'position' at [0], which is no finite float32."),
        ({"position": np.array([0, 1e300])}, "gives 1e+300 in 'position' at [1], which is no finite float32."),
        ({"step": dm_env.transition(np.nan, shown())}, "gives nan in 'reward', which is no finite float32."),
        ({"depth": np.zeros(1)}, "declares the observations ['image', 'position'], and gives ['image', 'position', 'depth']"),
        ({"first": IMAGE.tolist()}, "must give a dm_env.TimeStep that begins an episode (step_type FIRST), and gives a list."),
        (
            {"first": dm_env.transition(1.0, shown())},
            "that begins an episode (step_type FIRST), and gives one of MID.",
        ),
        (
            {"step": dm_env.restart(shown())},
            "that continues its episode (step_type MID or LAST), and gives one of FIRST.",
        ),
        ({"step": dm_env.transition(np.ones(2), shown())}, "'reward' as one number, and gives float64 of shape (2,) from 1 to 1"),
        ({"step": dm_env.TimeStep(MID, None, 1.0, shown())}, "'reward' as one number, and gives None"),
        ({"step": dm_env.TimeStep(LAST, 1.0, None, shown())}, "'discount' as one number, and gives None"),
    ],
)
def test_what_an_environment_gives_must_be_what_it_declares(gives, words):
    with pytest.raises(UserError) as raised:
        play(**gives)
    assert words in str(raised.value)
    assert str(raised.value).startswith("Mismatch ")


def test_numbers_of_a_wider_type_are_taken():
    step = play(image=IMAGE.astype(np.int64), position=[1, 2], step=None)
    np.testing.assert_array_equal(step.observation["image"], IMAGE)
    assert (step.observation["image"].dtype, step.observation["position"].dtype) == (np.uint8, np.float32)


def test_an_episode_that_has_ended_is_followed_by_a_reset():
    """Steps after the last are never taken: a simulator need not begin by itself."""
    server = EnvironmentServer(lambda seed: Mismatch(step=dm_env.termination(1.0, shown())), seed=0)
    kinds = [server.reset().step_type] + [server.step(np.zeros(1)).step_type for _ in range(4)]
    assert kinds == [FIRST, LAST, FIRST, LAST, FIRST]


def test_images_stay_and_all_else_becomes_a_float32_vector_of_its_own():
    values = {
        "height": np.float64(1.5),
        "arm": np.ones((8, 2)),
        "gray": np.ones((8, 2), np.uint8),
        "image": IMAGE,
        "keys": np.zeros(3, bool),
    }
    form = ObservationForm("Maze", {name: specs.Array(value.shape, value.dtype) for name, value in values.items()})
    arrays = form.normalize(values)
    assert {name: (array.shape, array.dtype) for name, array in arrays.items()} == {
        "height": ((1,), np.float32),
        "arm": ((16,), np.float32),
        "gray": ((8, 2, 1), np.uint8),
        "image": ((8, 6, 3), np.uint8),
        "keys": ((3,), np.float32),
    }
    for name, array in arrays.items():
        form.spec[name].validate(array)
        assert not np.shares_memory(array, values[name])


def test_a_lone_array_is_named_observation():
    form = ObservationForm("Maze", specs.Array((2,), np.float64))
    assert list(form.spec) == list(form.normalize(np.zeros(2))) == ["observation"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            specs.Array((4, 64, 64, 3), np.uint8),
            "show the newest image of a stack alone, as the latent remembers the others, or join them as channels, (64, 64, 12).",
        ),
        (specs.Array((2, 4, 64, 64, 3), np.uint8), "or join them."),
        (specs.Array((4, 64, 64), np.uint8), "images (4, 64, 64) with channels first; put them last, in a wrapper."),
        (specs.StringArray(()), "which is no array of numbers; wrap it."),
        ({"inner": specs.Array((2,), np.float32)}, "which is no array of numbers; wrap it."),
    ],
    ids=["stack", "stack_of_stacks", "channels_first", "text", "nested"],
)
def test_what_is_neither_image_nor_vector_is_refused(spec, words):
    with pytest.raises(UserError) as raised:
        ObservationForm("Maze", {"view": spec})
    assert str(raised.value).startswith("Maze declares 'view' as ")
    assert words in str(raised.value)
