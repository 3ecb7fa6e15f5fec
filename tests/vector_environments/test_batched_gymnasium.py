from functools import partial

import gymnasium
import numpy as np
import pytest

from framework.environments.counting import Counting
from framework.environments.gymnasium import Gymnasium
from framework.errors import UserError
from framework.vector_environments.batched_gymnasium import BatchedGymnasium
from framework.vector_environments.worker_environments import WorkerEnvironments
from tests.vector_environments.steps import FLAGS

STARTED = "tests.environments.gymnasium_tasks:StartedCartPole-v0"
CLOCKS = "tests.environments.gymnasium_tasks:Clocks-v0"
CARTPOLE = partial(Gymnasium, task="CartPole-v1")
CLOCK = partial(Gymnasium, task=CLOCKS, size=4)


def batched(count=3, seed=5, **arguments):
    return BatchedGymnasium(environment=CARTPOLE, count=count, seed=seed, task="CartPole-v1", arguments=arguments)


def clocks(count=3, size=4, **arguments):
    return BatchedGymnasium(environment=CLOCK, count=count, seed=0, task=CLOCKS, size=size, arguments=arguments)


def played(vector, count, seed=0):
    """A first step, and as many after random actions."""
    random = np.random.default_rng(seed)
    return [vector.reset(), *(vector.step(vector.random_actions(random)) for _ in range(count))]


def test_its_rows_are_those_of_single_environments_step_by_step():
    """CartPole's batched simulator against the serial wrapper of the single one, begun at the same states."""
    with batched(max_episode_steps=25) as vector:
        rows = played(vector, 150)
    ends = np.array([[row.is_last, row.is_terminal] for row in rows])
    assert ends[:, 1].sum() > 3
    assert (ends[:, 0] & ~ends[:, 1]).sum() > 3
    for index in range(3):
        starts = [row.observation["observation"][index] for row in rows if row.is_first[index]]
        single = partial(Gymnasium, task=STARTED, arguments={"starts": starts, "max_episode_steps": 25})
        with WorkerEnvironments(environment=single, count=1, seed=0, mode="serial") as serial:
            steps = [serial.reset()]
            # The action at an end is ignored; its row in the batch is the first of the next episode, with a zero action.
            steps += [serial.step(row.action[[index]] if row.action[index].any() else np.eye(2)[[0]]) for row in rows[1:]]
        for row, step in zip(rows, steps, strict=True):
            for name in ("action", "reward", *FLAGS):
                assert (getattr(row, name)[index] == getattr(step, name)[0]).all(), name
            np.testing.assert_allclose(row.observation["observation"][index], step.observation["observation"][0], atol=1e-5)


def test_one_environment_begins_as_the_single_one_from_the_same_seed():
    seed = int(np.random.SeedSequence([5, 0]).generate_state(1)[0])
    with batched(count=1) as vector:
        first = vector.reset().observation["observation"][0]
    np.testing.assert_array_equal(first, gymnasium.make("CartPole-v1").reset(seed=seed)[0])


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
def test_an_end_is_followed_by_the_first_step_of_the_next_episode(mode):
    """Clock `i` shows its time, and ends at time 3 + i: a termination where i is even, else a time limit."""
    with clocks(mode=mode) as vector:
        rows = played(vector, 20)
    for time, row in enumerate(rows):
        for index in range(3):
            length = 3 + index
            episode, count = divmod(time, length + 1)
            assert row.observation["time"][index] == count
            assert row.observation["face"][index, 0, 0, 0] == count
            assert row.observation["hand"][index].argmax() == count % 4
            assert row.reward[index] == count
            assert (row.is_first[index], row.is_last[index]) == (count == 0, count == length)
            assert row.is_terminal[index] == (count == length and index % 2 == 0)
            assert row.episode[index] == episode
            assert row.action[index].any() == (count > 0)


def test_its_observations_are_named_and_normalized():
    with clocks() as vector:
        assert {name: spec.shape for name, spec in vector.specs.observation.items()} == {"time": (1,), "face": (4, 4, 1), "hand": (4,)}
        for step in played(vector, 1):
            for name, spec in vector.specs.observation.items():
                assert (step.observation[name].shape, step.observation[name].dtype) == ((3, *spec.shape), spec.dtype)
        assert (vector.specs.action_kind, vector.specs.model_action.sizes) == ("continuous", (2,))


def test_it_resumes_with_episodes_that_it_has_not_played():
    with batched() as vector, batched() as restored:
        rows = played(vector, 60)
        with pytest.warns(UserWarning, match="starts a new episode"):
            steps = restored.restore(vector.snapshot())
        assert not np.array_equal(steps.observation["observation"], rows[0].observation["observation"])
        assert (restored.step(restored.random_actions(np.random.default_rng(0))).reward == 1).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"task": "CartPol-v1"}, "Gymnasium has no task 'CartPol-v1'; did you mean 'CartPole-v1'?"),
        ({"task": "Pendulum-v1"}, "doesn't have a vector entry point defined.); bind Run.vector = None"),
        ({"arguments": {"poles": 2}}, "unexpected keyword argument 'poles'"),
        ({"task": CLOCKS, "arguments": {"mode": "SameStep"}}, "has the autoreset mode AutoresetMode.SAME_STEP"),
        ({"environment": Counting}, "Run.environment shows {'count': (1,), 'pixels': (8, 8, 3)}"),
        ({"environment": partial(CARTPOLE, action_repeat=2)}, "repeats each action 2 times"),
    ],
)
def test_a_users_mistake_is_named(settings, words):
    with pytest.raises(UserError) as raised:
        BatchedGymnasium(**{"environment": CARTPOLE, "count": 2, "seed": 0, "task": "CartPole-v1"} | settings)
    assert words in str(raised.value)
