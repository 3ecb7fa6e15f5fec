from functools import partial

import gymnasium
import numpy as np
import pytest

from framework.environments.counting import Counting
from framework.environments.gymnasium import Gymnasium
from framework.errors import UserError
from framework.vector_environments.batched_gymnasium import BatchedGymnasium

CLOCKS = "tests.environments.gymnasium_tasks:Clocks-v0"
CARTPOLE = partial(Gymnasium, task="CartPole-v1")
CLOCK = partial(Gymnasium, task=CLOCKS, size=4)


def batched(count=3):
    return BatchedGymnasium(environment=CARTPOLE, count=count, seed=5, task="CartPole-v1")


def clocks(**arguments):
    return BatchedGymnasium(environment=CLOCK, count=3, seed=0, task=CLOCKS, size=4, arguments=arguments)


def played(vector, count):
    """A first step, and as many after random actions."""
    random = np.random.default_rng(0)
    return [vector.reset(), *(vector.step(vector.random_actions(random)) for _ in range(count))]


def test_one_environment_is_the_single_one_from_the_same_seed():
    with batched(count=1) as vector:
        rows = played(vector, 40)
    single = gymnasium.make("CartPole-v1")
    seed = int(np.random.SeedSequence([5, 0]).generate_state(1)[0])
    np.testing.assert_array_equal(rows[0].observation["observation"][0], single.reset(seed=seed)[0])
    last = 1 + [bool(row.is_last[0]) for row in rows].index(True)
    for row in rows[1:last]:
        observation, reward, terminated, _, _ = single.step(int(row.action[0].argmax()))
        np.testing.assert_allclose(row.observation["observation"][0], observation, atol=1e-6)
        assert (row.reward[0], row.is_terminal[0]) == (reward, terminated)


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


@pytest.mark.parametrize(
    ("gives", "words"),
    [
        (
            {"shows": {"face": np.full((3, 8, 8), 0.5)}},
            "'face' as uint8 of shape (3, 8, 8) from 0 to 255, and gives float64 of shape (3, 8, 8)",
        ),
        ({"shows": {"hand": np.full(3, 4)}}, "'hand' as int64 of shape (3,) from 0 to 3, and gives int64 of shape (3,) from 4 to 4"),
        (
            {"shows": {"date": np.zeros(3)}},
            "declares the observations ['face', 'hand', 'time'], and gives ['time', 'face', 'hand', 'date']",
        ),
        ({"pays": 1.0}, "'reward' as float64 of shape (3,), and gives float64 of shape () from 1 to 1"),
    ],
)
def test_what_a_simulator_gives_must_be_what_it_declares(gives, words):
    with clocks(**gives) as vector, pytest.raises(UserError) as raised:
        played(vector, 1)
    assert words in str(raised.value)
    assert str(raised.value).startswith(f"BatchedGymnasium.task = '{CLOCKS}' ")


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


def test_a_simulator_that_breaks_is_named_and_a_fresh_one_begins_new_episodes():
    with clocks(breaks=3) as vector:
        rows = played(vector, 2)
        vector.send(np.zeros((3, 2)))
        with pytest.raises(UserError, match="BatchedGymnasium failed: RuntimeError: the simulator is unstable"):
            vector.receive()
        assert (vector.failed, vector.in_flight) == ([0, 1, 2], True)
        fresh = vector.recover()
        assert (fresh.is_first.all(), vector.failed, vector.in_flight) == (True, [], False)
        np.testing.assert_array_equal(fresh.episode, rows[-1].episode + 1)
        np.testing.assert_array_equal(vector.step(np.zeros((3, 2))).observation["time"], np.ones((3, 1)))
