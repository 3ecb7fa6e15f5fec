"""The contract of environments: that of `dm_env`, and steps that are a function of (seed, episode, actions so far)."""

import pickle
from collections.abc import Iterator

import dm_env
import numpy as np
import pytest

from framework.environments.base import Seekable
from framework.environments.normalization import action_form
from framework.vector_environments.worker_environments import WorkerEnvironments
from tests.environments.time_steps import assert_same
from tests.members import build, factory


@pytest.fixture
def made(environment_name) -> Iterator[list]:
    """Constructs the environment with a seed, and closes it after the test."""
    opened = []

    def make(seed: int = 3) -> Seekable:
        opened.append(build("environments", environment_name, seed=seed))
        return opened[-1]

    yield make
    for environment in opened:
        environment.close()


def actions(environment: Seekable, count: int, seed: int = 0) -> list:
    """Random actions in the environment's own form."""
    random, form = np.random.default_rng(seed), action_form(environment.action_spec())
    size = sum(form.sizes) if form.spec.dtype.kind == "i" else form.spec.shape[0]
    return [form.native(random.uniform(-1, 1, size)) for _ in range(count)]


def play(environment: Seekable, count: int) -> list[dm_env.TimeStep]:
    """The first steps of an episode."""
    return [environment.reset(), *(environment.step(action) for action in actions(environment, count))]


def test_it_shows_and_takes_what_its_specs_say(made):
    environment = made()
    spec = environment.observation_spec()
    assert spec
    for action in actions(environment, 5):
        environment.action_spec().validate(np.asarray(action, environment.action_spec().dtype))
    for step in play(environment, 5):
        assert step.observation.keys() == spec.keys()
        for name, array in step.observation.items():
            spec[name].validate(array)
            assert np.isfinite(array).all()


def test_the_seed_determines_all_that_it_shows(made):
    assert_same(play(made(), 8), play(made(), 8))
    with pytest.raises(AssertionError):
        assert_same(play(made(), 8), play(made(seed=4), 8))


def test_an_episode_depends_on_its_index_alone(made):
    played, sought = made(), made()
    episodes = [play(played, count) for count in (3, 8)]
    sought.seek(1)
    assert_same(play(sought, 8), episodes[1])
    sought.seek(0)
    assert_same(play(sought, 3), episodes[0])
    with pytest.raises(AssertionError):
        assert_same(episodes[0], episodes[1][:4])


def test_a_replay_shows_the_same_and_continues_alike(made):
    first, again = made(), made()
    play(first, 2)
    steps, all_actions = play(first, 6), actions(first, 8)
    assert_same([again.replay(1, all_actions[:6])], steps[-1:])
    for action in all_actions[6:]:
        assert_same([again.step(action)], [first.step(action)])
    assert_same([again.reset()], [first.reset()])


def test_it_begins_an_episode_after_each_last_step(made):
    environment = made()
    steps = [environment.reset()]
    for action in actions(environment, 120):
        steps.append(environment.step(action))
        assert steps[-1].first() == steps[-2].last()
    assert any(step.last() for step in steps)
    for step in steps:
        assert (step.reward is None, step.discount is None) == (step.first(), step.first())
        assert step.first() or step.discount == 1.0 or (step.last() and step.discount == 0.0)


def test_arrays_share_no_memory(made):
    first, second = play(made(), 1)
    for name, array in first.observation.items():
        assert not np.shares_memory(array, second.observation[name])


def test_its_factory_pickles(environment_name):
    assert pickle.loads(pickle.dumps(factory("environments", environment_name))).func.__name__ == environment_name


def test_it_takes_the_random_actions_of_its_kind(environment_name):
    random = np.random.default_rng(0)
    with WorkerEnvironments(environment=factory("environments", environment_name), count=2, seed=0, mode="serial") as vector:
        vector.reset()
        drawn = [vector.random_actions(random) for _ in range(20)]
        assert vector.step(drawn[0]).action.tolist() == drawn[0].tolist()
        if vector.specs.action_kind == "continuous":
            assert all((np.abs(each) <= 1).all() for each in drawn)
        else:
            assert all((each.sum(axis=1) == len(vector.specs.model_action.sizes)).all() for each in drawn)
        assert len({each.tobytes() for each in drawn}) > 5 or vector.specs.action_size <= 4
