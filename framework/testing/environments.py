"""The contract of environments: that of `dm_env`, and steps that are a function of (seed, episode, actions so far)."""

import pickle
import unittest
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, Final

import dm_env
import numpy as np
import pytest
from dm_env.test_utils import EnvironmentTestMixin

from framework.data import Factory
from framework.environments.actions import action_form
from framework.environments.base import Environment, Seekable
from framework.lab.members import Member
from framework.testing.checks import assert_same_steps
from framework.testing.contract import Contract
from framework.vector_environments.worker_environments import WorkerEnvironments

LONGEST: Final = 1100
"""Steps after which the end of an episode is no longer awaited."""
DM_ENV: Final = tuple(name for name in dir(EnvironmentTestMixin) if name.startswith("test_"))
Make = Callable[..., Any]


@cache
def shared(build: Factory[Environment], copy: int) -> Environment:
    return build(seed=3)


def actions(environment: Environment, count: int, seed: int = 0) -> list[Any]:
    """Random actions in the environment's own form."""
    random, form = np.random.default_rng(seed), action_form("environment", environment.action_spec())
    return [form.native(random.uniform(-1, 1, form.size)) for _ in range(count)]


def play(environment: Environment, count: int) -> list[dm_env.TimeStep]:
    """The first steps of an episode."""
    return [environment.reset(), *(environment.step(action) for action in actions(environment, count))]


class DmEnvChecks(EnvironmentTestMixin, unittest.TestCase):
    """dm_env's own tests, on an environment that stays open."""

    __test__ = False

    def __init__(self, environment: Environment) -> None:
        super().__init__(DM_ENV[0])
        self.object_under_test = environment

    def make_object_under_test(self) -> Environment:
        return self.object_under_test

    def make_action_sequence(self) -> Iterator[Any]:
        yield from actions(self.object_under_test, 20)


class EnvironmentContract(Contract):
    """What every environment promises; one that is `Seekable` also restarts from an index."""

    family = "environments"

    @pytest.fixture
    def made(self, member: Member) -> Make:
        """An environment before its first episode; making one takes long, so that all tests share two where they can be sought."""

        def make(copy: int = 0) -> Environment:
            if not issubclass(member.cls, Seekable):
                return member.build(seed=3)
            environment = shared(member.build, copy)
            assert isinstance(environment, Seekable)
            environment.seek(0)
            return environment

        return make

    @pytest.fixture
    def sought(self, member: Member, made) -> Make:
        if not issubclass(member.cls, Seekable):
            pytest.skip("it is not Seekable: a resumed run begins new episodes")
        return made

    @pytest.mark.parametrize("name", DM_ENV)
    def test_it_keeps_the_contract_of_dm_env(self, made, name):
        getattr(DmEnvChecks(made()), name)()

    def test_it_shows_and_takes_what_its_specs_say_in_memory_of_its_own(self, made):
        environment = made()
        spec = environment.observation_spec()
        assert isinstance(spec, dict), f"`observation_spec` gives a {type(spec).__name__}, and must give a dict of arrays by name"
        assert spec, "`observation_spec` is empty"
        for action in actions(environment, 5):
            environment.action_spec().validate(np.asarray(action, environment.action_spec().dtype))
        steps = play(environment, 5)
        for step in steps:
            assert step.observation.keys() == spec.keys()
            for name, array in step.observation.items():
                spec[name].validate(array)
                assert np.isfinite(array).all(), f"'{name}' has numbers that are nan or infinite"
                copied = step is steps[0] or not np.shares_memory(array, steps[0].observation[name])
                assert copied, f"'{name}' is the same array in two steps, and would change in the replay: give a copy"

    def test_it_begins_an_episode_after_each_last_step(self, made):
        environment = made()
        before, form = environment.reset(), actions(environment, LONGEST)
        for action in form:
            step = environment.step(action)
            assert step.first() == before.last(), f"after a {before.step_type.name} step comes a {step.step_type.name} one"
            assert (step.reward is None, step.discount is None) == (step.first(), step.first())
            assert step.first() or step.discount == 1.0 or (step.last() and step.discount == 0.0), (
                f"a {step.step_type.name} step has the discount {step.discount}: 0 at a termination, 1 everywhere else"
            )
            if before.last():
                return
            before = step
        pytest.skip(f"no episode ended in {LONGEST} steps")

    def test_the_seed_determines_all_that_it_shows_from_the_first_episode_on(self, made, member):
        steps = play(made(), 8)
        assert_same_steps(play(member.build(seed=3), 8), steps)
        with pytest.raises(AssertionError):
            assert_same_steps(play(member.build(seed=4), 8), steps)

    def test_an_episode_depends_on_its_index_alone(self, sought):
        played, other = sought(), sought(copy=1)
        episodes = [play(played, count) for count in (3, 8)]
        other.seek(1)
        assert_same_steps(play(other, 8), episodes[1])
        other.seek(0)
        assert_same_steps(play(other, 3), episodes[0])
        with pytest.raises(AssertionError):
            assert_same_steps(episodes[0], episodes[1][:4])

    def test_a_replay_shows_the_same_and_continues_alike(self, sought):
        first, again = sought(), sought(copy=1)
        play(first, 2)
        steps, all_actions = play(first, 6), actions(first, 8)
        assert_same_steps([again.replay(1, all_actions[:6])], steps[-1:])
        for action in all_actions[6:]:
            assert_same_steps([again.step(action)], [first.step(action)])
        assert_same_steps([again.reset()], [first.reset()])

    def test_its_factory_pickles_and_takes_random_actions(self, member):
        environment = pickle.loads(pickle.dumps(partial(member.cls, **member.build.keywords)))
        assert environment.func.__name__ == member.name
        random = np.random.default_rng(0)
        with WorkerEnvironments(environment=environment, count=1, seed=0, mode="serial") as vector:
            vector.reset()
            drawn = [vector.random_actions(random) for _ in range(20)]
            assert vector.step(drawn[0]).action.tolist() == drawn[0].tolist()
        assert len({each.tobytes() for each in drawn}) > 5 or vector.specs.action_size <= 4
