import sys
from functools import partial

import gymnasium
import numpy as np
import pytest

from framework.environments.gymnasium import Gymnasium
from framework.environments.server import EnvironmentServer
from framework.errors import UserError

ROOM = "tests.environments.gymnasium_tasks:Room-v0"
ACTION = np.array([1, 0, 1, 0, 0])


def room(observe="observation", size=64, action_repeat=1, **arguments):
    """A room behind a server, so that actions have the agent's form."""
    task = partial(Gymnasium, task=ROOM, observe=observe, size=size, action_repeat=action_repeat, arguments=arguments)
    return EnvironmentServer(task, seed=0)


def test_it_shows_what_gymnasium_shows():
    """Pendulum, with its torque of two, against gymnasium's own loop, to its time limit."""
    random, seed = np.random.default_rng(0), int(np.random.SeedSequence([5, 0]).generate_state(1)[0])
    server, own = EnvironmentServer(partial(Gymnasium, task="Pendulum-v1"), seed=5), gymnasium.make("Pendulum-v1")
    np.testing.assert_array_equal(server.reset().observation["observation"], own.reset(seed=seed)[0])
    for _ in range(200):
        action = random.uniform(-1, 1, 1).astype(np.float32)
        step, (observation, reward, terminated, truncated, _) = server.step(action), own.step(2 * action)
        np.testing.assert_array_equal(step.observation["observation"], observation)
        assert step.reward == reward
        assert (step.last(), step.discount == 0) == (truncated, terminated)
    assert (step.last(), step.discount) == (True, 1.0)


@pytest.mark.parametrize(
    ("settings", "length", "discount"),
    [({"ending": 5}, 5, 0.0), ({"max_episode_steps": 4}, 4, 1.0), ({"ending": 8}, 8, 0.0), ({"ending": 5, "action_repeat": 3}, 2, 0.0)],
    ids=["terminated", "truncated", "both_at_once", "in_a_repeat"],
)
def test_only_what_terminates_is_terminal(settings, length, discount):
    server = room(**settings)
    steps = [server.reset(), *(server.step(ACTION) for _ in range(length))]
    assert [step.last() for step in steps] == [False] * length + [True]
    assert steps[-1].discount == discount


def test_an_action_is_held_and_its_rewards_summed_until_the_end():
    server = room(action_repeat=3)
    server.reset()
    assert [server.step(ACTION).reward for _ in range(2)] == [1 + 2 + 3, 4 + 5]
    assert server.describe().action_repeat == 3


def test_every_entry_of_a_dictionary_has_its_name():
    server = room(size=(6, 4))
    spec, step = server.describe().observation, server.reset()
    expected = {"place": (4,), "camera": (6, 4, 3), "depth": (6, 4, 1), "door": (3,), "keys": (2,)}
    assert {name: each.shape for name, each in spec.items()} == expected
    for name, array in step.observation.items():
        spec[name].validate(array)
    assert sorted(step.observation["door"]) == [0, 0, 1]


@pytest.mark.parametrize(
    ("takes", "action", "taken"),
    [
        ("several", [0, 1, 0, 0, 1], [5, 2]),
        ("switches", [1, 0, 0, 1, 1, 0], [0, 1, 0]),
        ("from two", [0, 0, 1], 4),
        ("vector", [0.5], [0.5]),
    ],
)
def test_an_action_arrives_as_its_space_has_it(takes, action, taken):
    server = room(takes=takes)
    server.reset()
    server.step(np.array(action, np.float32))
    assert np.array(server._environment._environment.unwrapped.taken).tolist() == taken


def test_pixels_are_what_is_rendered_after_each_step():
    server = room(observe="both", size=(4, 6), shows="vector")
    for count, step in enumerate([server.reset(), *(server.step(ACTION) for _ in range(3))]):
        assert step.observation.keys() == {"observation", "pixels"} == server.describe().observation.keys()
        np.testing.assert_array_equal(step.observation["pixels"], np.full((4, 6, 3), count))
    assert room(observe="pixels", size=None).describe().observation["pixels"].shape == (24, 32, 3)


def test_a_smaller_image_has_the_mean_of_each_patch():
    small, large = room(size=(6, 4)).reset().observation, room(size=None).reset().observation
    for name in ("camera", "depth"):
        means = large[name].reshape(6, 2, 4, 2, -1).mean(axis=(1, 3))
        np.testing.assert_allclose(small[name], means, atol=1.01)  # rows and columns are rounded one after the other


@pytest.mark.parametrize(
    ("bindings", "words"),
    [
        ({"task": "CartPol-v1"}, "Gymnasium has no task 'CartPol-v1'; did you mean 'CartPole-v1'? Valid are: CartPole-v0, CartPole-v1"),
        ({"task": "no_such_module:X-v0"}, "cannot make 'no_such_module:X-v0' (ModuleNotFoundError"),
        ({"task": "CartPole-v1", "arguments": {"poles": 2}}, "unexpected keyword argument 'poles'"),
        ({"arguments": {"shows": "graph"}}, "shows as 'observation' a Graph("),
        ({"arguments": {"shows": "text"}}, "shows as 'order' a Text("),
        ({"arguments": {"shows": "channels first"}}, "images (3, 12, 12) with channels first"),
        ({"arguments": {"takes": "both kinds"}}, "takes actions of Tuple(Discrete(2), Box"),
        ({"observe": "both", "arguments": {"shows": "own pixels"}}, "shows 'pixels' of its own"),
        ({"observe": "pixels", "arguments": {"renders": False}}, "renders no images, but ['rgb_array', 'ansi']"),
        ({"action_repeat": 0}, "action_repeat = 0 must be at least 1"),
    ],
)
def test_a_users_mistake_is_named(bindings, words):
    with pytest.raises(UserError) as raised:
        Gymnasium(**{"task": ROOM, "seed": 0} | bindings).reset()
    assert words in str(raised.value)


def test_a_missing_gymnasium_is_an_error_with_the_line_to_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(UserError, match="gymnasium is not installed: run `pip install gymnasium`"):
        Gymnasium(task="CartPole-v1", seed=0)
