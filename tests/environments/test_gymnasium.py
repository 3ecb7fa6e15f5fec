import subprocess
import sys
from functools import partial

import gymnasium
import numpy as np
import pytest
from absl.testing import absltest
from dm_env import test_utils

from framework.environments.gymnasium import Gymnasium
from framework.environments.server import EnvironmentServer
from framework.errors import UserError
from framework.vector_environments.worker_environments import WorkerEnvironments

ROOM = "tests.environments.gymnasium_tasks:Room-v0"


def room(**arguments):
    """A session with a room, so that actions come as the agent gives them."""
    settings = {key: arguments.pop(key) for key in ("observe", "size", "action_repeat") if key in arguments}
    return EnvironmentServer(partial(Gymnasium, task=ROOM, arguments=arguments, **settings), seed=0)


def to_the_end(environment, action):
    """Every step of one episode."""
    steps = [environment.reset()]
    while not steps[-1].last():
        steps.append(environment.step(action))
    return steps


class TestConformsToDMEnv(test_utils.EnvironmentTestMixin, absltest.TestCase):
    def make_object_under_test(self):
        return Gymnasium(task="CartPole-v1", seed=0)


def test_it_shows_what_gymnasium_shows():
    """Pendulum, with its torque of two, against gymnasium's own loop."""
    random, seed = np.random.default_rng(0), int(np.random.SeedSequence([5, 0]).generate_state(1)[0])
    session, own = EnvironmentServer(partial(Gymnasium, task="Pendulum-v1"), seed=5), gymnasium.make("Pendulum-v1")
    np.testing.assert_array_equal(session.reset().observation["observation"], own.reset(seed=seed)[0])
    for _ in range(200):
        action = random.uniform(-1, 1, 1).astype(np.float32)
        step, (observation, reward, terminated, truncated, _) = session.step(action), own.step(2 * action)
        np.testing.assert_array_equal(step.observation["observation"], observation)
        assert step.reward == reward
        assert (step.is_last, step.is_terminal) == (truncated, terminated)
    assert (step.is_last, step.is_terminal) == (True, False)


def test_only_what_terminates_is_terminal():
    fallen = to_the_end(Gymnasium(task="CartPole-v1", seed=0), 1)
    assert (len(fallen) < 20, fallen[-1].discount) == (True, 0.0)
    stopped = to_the_end(Gymnasium(task="CartPole-v1", seed=0, arguments={"max_episode_steps": 4}), 1)
    assert (len(stopped), stopped[-1].discount) == (5, 1.0)


def test_a_termination_at_the_time_limit_is_one():
    session = room(ending=8)
    session.reset()
    steps = [session.step(np.array([1, 0, 1, 0, 0])) for _ in range(8)]
    assert [step.is_last for step in steps] == [False] * 7 + [True]
    assert steps[-1].is_terminal


def test_an_action_is_held_and_its_rewards_summed_until_the_end():
    session = room(action_repeat=3)
    session.reset()
    steps = [session.step(np.array([1, 0, 1, 0, 0])) for _ in range(2)]
    assert [step.reward for step in steps] == [1 + 2 + 3, 4 + 5]
    assert [step.is_terminal for step in steps] == [False, True]
    assert session.describe().action_repeat == 3


def test_every_entry_of_a_dictionary_has_its_name():
    session = room(size=(6, 4))
    spec, step = session.describe().observation, session.reset()
    expected = {"place": (4,), "camera": (6, 4, 3), "depth": (6, 4, 1), "door": (3,), "keys": (2,)}
    assert {name: each.shape for name, each in spec.items()} == expected
    for name, array in step.observation.items():
        spec[name].validate(array)
    assert sorted(step.observation["door"]) == [0, 0, 1]
    assert step.observation["camera"].dtype == np.uint8


@pytest.mark.parametrize(
    ("takes", "given", "taken"),
    [
        ("several", [0, 1, 0, 0, 1], [5, 2]),
        ("switches", [1, 0, 0, 1, 1, 0], [0, 1, 0]),
        ("from two", [0, 0, 1], 4),
        ("vector", [0.5], [0.5]),
    ],
)
def test_an_action_arrives_as_its_space_has_it(takes, given, taken):
    session = room(takes=takes)
    session.reset()
    session.step(np.array(given, np.float32))
    assert np.array(session._environment._environment.unwrapped.taken).tolist() == taken


def test_pixels_are_what_is_rendered_after_each_step():
    session = room(observe="both", size=(4, 6), shows="vector")
    shown = [session.reset(), *(session.step(np.array([1, 0, 1, 0, 0])) for _ in range(3))]
    assert shown[0].observation.keys() == {"observation", "pixels"} == session.describe().observation.keys()
    for count, step in enumerate(shown):
        np.testing.assert_array_equal(step.observation["pixels"], np.full((4, 6, 3), count))
    assert room(observe="pixels", size=None).describe().observation["pixels"].shape == (24, 32, 3)


def test_a_smaller_image_has_the_mean_of_each_patch():
    session, whole = room(size=(6, 4)), room(size=None)
    small, large = session.reset().observation, whole.reset().observation
    for name in ("camera", "depth"):
        means = large[name].reshape(6, 2, 4, 2, -1).mean(axis=(1, 3))
        np.testing.assert_allclose(small[name], means, atol=1.01)  # rows and columns are rounded one after the other


def test_choices_are_resumed_exactly():
    cartpole = partial(Gymnasium, task="CartPole-v1")
    random = np.random.default_rng(0)
    with (
        WorkerEnvironments(environment=cartpole, count=2, seed=1, mode="process") as played,
        WorkerEnvironments(environment=cartpole, count=2, seed=1, mode="serial") as restored,
    ):
        assert (played.specs.action_kind, played.specs.action_size) == ("discrete", 2)
        played.reset()
        for _ in range(70):
            steps = played.step(played.random_actions(random))
        assert steps.episode.min() > 0
        again = restored.restore(played.snapshot())
        for _ in range(30):
            np.testing.assert_array_equal(again.observation["observation"], steps.observation["observation"])
            assert (again.reward == steps.reward).all()
            given = played.random_actions(random)
            again, steps = restored.step(given), played.step(given)


@pytest.mark.parametrize(
    ("bindings", "words"),
    [
        ({"task": "CartPol-v1"}, "Gymnasium has no task 'CartPol-v1'; did you mean 'CartPole-v1'? Valid are: CartPole-v0, CartPole-v1"),
        ({"task": "no_such_module:X-v0"}, "cannot make 'no_such_module:X-v0' (ModuleNotFoundError"),
        ({"task": "CartPole-v1", "arguments": {"poles": 2}}, "unexpected keyword argument 'poles'"),
        ({"task": "Blackjack-v1"}, "shows as 'observation' a Tuple(Discrete(32)"),
        ({"arguments": {"shows": "graph"}}, "shows as 'observation' a Graph("),
        ({"arguments": {"shows": "text"}}, "shows as 'order' a Text("),
        ({"arguments": {"shows": "channels first"}}, "images (3, 12, 12) with channels first"),
        ({"arguments": {"takes": "both kinds"}}, "takes actions of Tuple(Discrete(2), Box"),
        ({"arguments": {"takes": "text"}}, "register an id that wraps it"),
        ({"observe": "both", "arguments": {"shows": "own pixels"}}, "shows 'pixels' of its own"),
        ({"observe": "pixels", "arguments": {"renders": False}}, "renders no images, but ['rgb_array', 'ansi']"),
        ({"action_repeat": 0}, "action_repeat = 0 must be at least 1"),
    ],
)
def test_a_users_mistake_is_named(bindings, words):
    with pytest.raises(UserError) as raised:
        Gymnasium(**{"task": ROOM, "seed": 0} | bindings).reset()
    assert words in str(raised.value)


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_it_says_what_to_run_where_gymnasium_is_missing():
    code = (
        "import sys; sys.modules['gymnasium'] = None\n"
        "from framework.environments.gymnasium import Gymnasium\n"
        "from framework.errors import UserError\n"
        "try:\n    Gymnasium(task='CartPole-v1', seed=0)\n"
        "except UserError as error:\n    print(error)\n"
    )
    assert run(code) == "gymnasium is not installed: run `pip install gymnasium`."


def test_a_listing_imports_no_gymnasium_and_a_check_asks_the_task(tmp_path):
    recipe = tmp_path / "recipe.gin"
    recipe.write_text("include 'quickstart.gin'\ninclude 'environments/gymnasium.gin'\ntask = 'CartPole-v1'\n")
    code = (
        "import sys\nfrom framework import composition\nfrom framework.registry import components\n"
        "print('Gymnasium' in components('environments'), 'gymnasium' in sys.modules)\n"
        f"print(*composition.check({str(recipe)!r}))\n"
        "print('gymnasium' in sys.modules, 'torch' in sys.modules)"
    )
    listed, found, imported = run(code).splitlines()
    assert listed == "True False"
    assert "ConvEncoder takes exactly one image [height, width, channel] and was given observation (4,)" in found
    assert imported == "True False"
