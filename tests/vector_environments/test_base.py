"""Vector environments: what a user's own must give, and random actions."""

from dataclasses import replace

import numpy as np
import pytest
from dm_env import specs

from framework.errors import UserError
from framework.specs import ActionSpec, Specs
from framework.vector_environments import VectorEnvironment, VectorStep
from framework.vector_environments.base import random_actions

IMAGES = np.zeros((2, 4, 4, 3), np.uint8)


class Simulator(VectorEnvironment):
    """Two black images; from the first step on, some entries of a row are others."""

    def __init__(self, **others):
        image = specs.BoundedArray((4, 4, 3), np.uint8, 0, 255)
        super().__init__(specs=Specs(observation={"image": image}, action=specs.BoundedArray((1,), np.float32, -1, 1)), count=2)
        self.others = others

    def _reset(self):
        flags = np.zeros(2, bool)
        return VectorStep({"image": IMAGES}, np.zeros((2, 1), np.float32), np.zeros(2), ~flags, flags, flags, np.zeros(2, np.int64))

    def _finish(self, actions):
        return replace(self._reset(), **self.others)

    def close(self):
        pass


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"observation": {"image": IMAGES / 255}}, "'image' as uint8 of shape (2, 4, 4, 3) from 0 to 255, and gives float64 of shape"),
        ({"observation": {"image": IMAGES[0]}}, "and gives uint8 of shape (4, 4, 3)"),
        ({"observation": {"view": IMAGES}}, "declares the observations ['image'], and gives ['view']"),
        ({"reward": np.zeros((2, 1))}, "'reward' as float64 of shape (2,), and gives float64 of shape (2, 1)"),
        ({"is_last": np.zeros(2)}, "'is_last' as bool of shape (2,), and gives float64 of shape (2,)"),
    ],
)
def test_a_row_must_be_what_the_specs_declare(others, words):
    vector = Simulator(**others)
    vector.reset()
    with pytest.raises(UserError) as raised:
        vector.step(np.zeros((2, 1)))
    assert words in str(raised.value)
    assert str(raised.value).startswith("Simulator declares ")


@pytest.mark.parametrize(
    ("is_last", "is_first", "words"),
    [
        ([False, True], [False, False], "must give environment 1 a step with is_first, since its episode is over."),
        ([False, True], [True, True], "must give environment 0 a step with no is_first, since its episode goes on."),
    ],
)
def test_a_row_begins_an_episode_where_the_one_before_ended_and_nowhere_else(is_last, is_first, words):
    vector, actions, nothing = Simulator(), np.zeros((2, 1)), np.zeros(2, bool)
    vector.reset()
    vector.others = {"is_first": nothing, "is_last": np.array(is_last), "reward": np.zeros(2, np.float32)}
    vector.step(actions)
    vector.others |= {"is_first": np.array(is_last), "is_last": nothing}
    vector.step(actions)
    vector.others |= {"is_first": nothing, "is_last": np.array(is_last)}
    vector.step(actions)
    vector.others["is_first"] = np.array(is_first)
    with pytest.raises(UserError) as raised:
        vector.step(actions)
    assert words in str(raised.value)
    assert raised.value.is_lasting


def test_random_actions_are_uniform_numbers_or_one_option_of_each_choice():
    random = np.random.default_rng(0)
    numbers = random_actions(ActionSpec(kind="continuous", sizes=(2,)), 1200, random)
    np.testing.assert_allclose(np.quantile(numbers, [0, 0.25, 0.5, 0.75, 1]), [-1, -0.5, 0, 0.5, 1], atol=0.06)
    sizes = (2, 3, 4, 1)
    options = random_actions(ActionSpec(kind="multi_discrete", sizes=sizes), 1200, random)
    assert {each.dtype for each in (numbers, options)} == {np.dtype(np.float32)}
    assert set(np.unique(options)) == {0.0, 1.0}
    for size, group in zip(sizes, np.split(options, np.cumsum(sizes)[:-1], axis=1), strict=True):
        assert (group.sum(axis=1) == 1).all()
        np.testing.assert_allclose(group.mean(axis=0), 1 / size, atol=0.06)
