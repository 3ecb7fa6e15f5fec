"""The contract of environments: that of `dm_env`, and steps that are a function of (seed, episode, actions so far)."""

import pickle
from functools import cache

import dm_env
import numpy as np
import pytest

from framework.environments.actions import action_form
from framework.environments.base import Seekable
from framework.vector_environments.worker_environments import WorkerEnvironments
from tests.environments.time_steps import assert_same
from tests.members import build, factory


@cache
def shared(name: str, copy: int) -> Seekable:
    return build("environments", name, seed=3)


@pytest.fixture
def made(environment_name):
    """An environment before its first episode; making one takes long, so that all tests share two."""

    def make(copy: int = 0) -> Seekable:
        environment = shared(environment_name, copy)
        environment.seek(0)
        return environment

    return make


def actions(environment: Seekable, count: int, seed: int = 0) -> list:
    """Random actions in the environment's own form."""
    random, form = np.random.default_rng(seed), action_form("environment", environment.action_spec())
    size = sum(form.sizes) if form.spec.dtype.kind == "i" else form.spec.shape[0]
    return [form.native(random.uniform(-1, 1, size)) for _ in range(count)]


def play(environment: Seekable, count: int) -> list[dm_env.TimeStep]:
    """The first steps of an episode."""
    return [environment.reset(), *(environment.step(action) for action in actions(environment, count))]


def test_it_shows_and_takes_what_its_specs_say_in_memory_of_its_own(made):
    environment = made()
    spec = environment.observation_spec()
    assert spec
    for action in actions(environment, 5):
        environment.action_spec().validate(np.asarray(action, environment.action_spec().dtype))
    steps = play(environment, 5)
    for step in steps:
        assert step.observation.keys() == spec.keys()
        for name, array in step.observation.items():
            spec[name].validate(array)
            assert np.isfinite(array).all()
            assert step is steps[0] or not np.shares_memory(array, steps[0].observation[name])


def test_the_seed_determines_all_that_it_shows_from_the_first_episode_on(made, environment_name):
    steps = play(made(), 8)
    assert_same(play(build("environments", environment_name, seed=3), 8), steps)
    with pytest.raises(AssertionError):
        assert_same(play(build("environments", environment_name, seed=4), 8), steps)


def test_an_episode_depends_on_its_index_alone(made):
    played, sought = made(), made(copy=1)
    episodes = [play(played, count) for count in (3, 8)]
    sought.seek(1)
    assert_same(play(sought, 8), episodes[1])
    sought.seek(0)
    assert_same(play(sought, 3), episodes[0])
    with pytest.raises(AssertionError):
        assert_same(episodes[0], episodes[1][:4])


def test_a_replay_shows_the_same_and_continues_alike(made):
    first, again = made(), made(copy=1)
    play(first, 2)
    steps, all_actions = play(first, 6), actions(first, 8)
    assert_same([again.replay(1, all_actions[:6])], steps[-1:])
    for action in all_actions[6:]:
        assert_same([again.step(action)], [first.step(action)])
    assert_same([again.reset()], [first.reset()])


def test_it_begins_an_episode_after_each_last_step(made):
    environment = made()
    steps = [environment.reset()]
    for action in actions(environment, 105):
        steps.append(environment.step(action))
        assert steps[-1].first() == steps[-2].last()
    assert any(step.last() for step in steps)
    for step in steps:
        assert (step.reward is None, step.discount is None) == (step.first(), step.first())
        assert step.first() or step.discount == 1.0 or (step.last() and step.discount == 0.0)


def test_its_factory_pickles_and_takes_random_actions(environment_name):
    environment = pickle.loads(pickle.dumps(factory("environments", environment_name)))
    assert environment.func.__name__ == environment_name
    random = np.random.default_rng(0)
    with WorkerEnvironments(environment=environment, count=1, seed=0, mode="serial") as vector:
        vector.reset()
        drawn = [vector.random_actions(random) for _ in range(20)]
        assert vector.step(drawn[0]).action.tolist() == drawn[0].tolist()
    assert len({each.tobytes() for each in drawn}) > 5 or vector.specs.action_size <= 4
