import sys
from functools import partial

import gymnasium
import numpy as np
import pytest

from framework.environments.gymnasium import Gymnasium
from framework.environments.server import EnvironmentServer
from framework.errors import UserError
from tests.environments.gymnasium_tasks import SPACES

ROOM = "tests.environments.gymnasium_tasks:Room-v0"
MISMATCH = "tests.environments.gymnasium_tasks:Mismatch-v0"
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
        ("double", [0.3], [1 + 2 * 0.3]),
        ("lone", [0.4], 0.8),
        ("lone integer", [0, 0, 1], 6),
        ("boolean", [1, 0, 0, 1], [False, True]),
    ],
)
def test_an_action_arrives_as_its_space_has_it(takes, action, taken):
    server = room(takes=takes)
    server.reset()
    server.step(np.array(action))
    arrived, space = server._environment._environment.unwrapped.taken, SPACES[takes]
    np.testing.assert_allclose(arrived, taken)
    assert isinstance(arrived, int) if takes == "from two" else (arrived.shape, arrived.dtype) == (space.shape, space.dtype)


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
        ({"arguments": {"shows": "graph"}}, "declares 'observation' as Graph("),
        ({"arguments": {"shows": "text"}}, "declares 'order' as Text("),
        ({"arguments": {"shows": "channels first"}}, "images (3, 12, 12) with channels first"),
        ({"arguments": {"takes": "both kinds"}}, "declares 'action' as Tuple(Discrete(2), Box"),
        (
            {"arguments": {"takes": "full range"}},
            "as int32 of shape (2,) from -2147483648 to 2147483647: 8,589,934,592 options, and at most 65,536",
        ),
        ({"arguments": {"shows": "many"}}, "1,048,576 options"),
        (
            {"arguments": {"shows": "stack"}},
            "uint8 of shape (4, 12, 8, 3), and an image has the axes height, width and channel: show the newest",
        ),
        ({"task": "MyTask-v0"}, "names the module that registers it, 'my_module:MyTask-v0', so that workers import it too"),
        ({"observe": "both", "arguments": {"shows": "own pixels"}}, "shows 'pixels' of its own"),
        ({"observe": "pixels", "arguments": {"renders": False}}, "renders no images, but ['rgb_array', 'ansi']"),
        ({"action_repeat": 0}, "action_repeat = 0 must be at least 1"),
    ],
)
def test_a_users_mistake_is_named(bindings, words):
    with pytest.raises(UserError) as raised:
        Gymnasium(**{"task": ROOM, "seed": 0} | bindings).reset()
    assert words in str(raised.value)


def shows(image, door=1):
    return {"shows": {"image": image, "door": door}}


@pytest.mark.parametrize(
    ("gives", "words"),
    [
        (
            shows(np.full((4, 4, 3), 0.5)),
            "'image' as uint8 of shape (4, 4, 3) from 0 to 255, and gives float64 of shape (4, 4, 3) from 0.5",
        ),
        (shows(np.zeros((4, 4, 3), np.uint8), door=0), "'door' as int64 of shape () from 1 to 3, and gives int64 of shape () from 0"),
        ({"shows": {"door": 1}}, "declares the observations ['door', 'image'], and gives ['door']"),
        ({"first": [0.0, 0.0]}, "must give `observation, info` from `reset`, and gives [0.0, 0.0]"),
        ({"outcome": (1.0, False, {})}, "must give `observation, reward, terminated, truncated, info` from `step`"),
        ({"outcome": (np.ones(2), False, False, {})}, "'reward' as one number, and gives float64 of shape (2,) from 1 to 1"),
        ({"outcome": (1.0, None, False, {})}, "'terminated' as True or False, and gives None"),
        ({"outcome": (1.0, False, np.zeros(2, bool), {})}, "'truncated' as True or False, and gives bool of shape (2,)"),
    ],
)
def test_what_a_task_gives_must_be_what_it_declares(gives, words):
    """The images are compared before they are resized."""
    server = EnvironmentServer(partial(Gymnasium, task=MISMATCH, arguments=gives), seed=0)

    def play():
        server.reset()
        server.step(np.zeros(2))

    with pytest.raises(UserError) as raised:
        play()
    assert words in str(raised.value)
    assert str(raised.value).startswith(f"Gymnasium.task = '{MISMATCH}' ")


def test_whole_numbers_of_any_type_may_be_an_image():
    step = EnvironmentServer(partial(Gymnasium, task=MISMATCH, size=None), seed=0).reset()
    assert (step.observation["image"].dtype, step.observation["image"].min()) == (np.uint8, 7)
    assert step.observation["door"].tolist() == [0, 0, 1]


def test_a_missing_gymnasium_is_an_error_with_the_line_to_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(UserError, match="gymnasium is not installed: run `pip install gymnasium`"):
        Gymnasium(task="CartPole-v1", seed=0)
