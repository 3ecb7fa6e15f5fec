import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from framework.environments import dm_control
from framework.environments.dm_control import DMControl
from framework.environments.server import EnvironmentServer
from framework.errors import UserError
from framework.testing.checks import assert_same_steps


def play(environment, length, seed=0):
    """The first steps of one episode under random actions."""
    random = np.random.default_rng(seed)
    size = environment.action_spec().shape
    return [environment.reset(), *(environment.step(random.uniform(-1, 1, size).astype(np.float32)) for _ in range(length))]


@pytest.mark.parametrize("task", ["cup_catch", "humanoid_CMU_run", "lqr_lqr_6_2", "manipulator_insert_peg"])
def test_a_task_gives_what_it_declares_in_finite_vectors(task):
    server = EnvironmentServer(partial(DMControl, task=task, observe="proprioception", action_repeat=1), seed=0)
    server.reset()
    step = server.step(np.full(server.describe().action.shape, 0.5))
    assert all(array.ndim == 1 and np.isfinite(array).all() for array in step.observation.values())


def test_the_seed_determines_the_random_parts_of_a_model_too():
    """The springs of `lqr` are drawn when it is made."""

    def steps(seed):
        return play(DMControl(task="lqr_lqr_2_1", seed=seed, observe="proprioception"), 5)

    assert_same_steps(steps(7), steps(7))
    assert not np.array_equal(steps(7)[0].observation["position"], steps(8)[0].observation["position"])


def test_the_random_parts_of_an_episode_depend_on_its_index_alone():
    """The actuators of this task are drawn at each reset."""
    played, sought = (DMControl(task="point_mass_hard", seed=5, observe="proprioception") for _ in range(2))
    episodes = [play(played, 10, seed=index) for index in range(3)]
    for episode in (2, 0):
        sought.seek(episode)
        assert_same_steps(episodes[episode], play(sought, 10, seed=episode))


@pytest.mark.parametrize(
    ("observe", "names"),
    [("pixels", {"pixels"}), ("proprioception", {"position", "velocity"}), ("both", {"pixels", "position", "velocity"})],
)
def test_it_shows_what_observe_names_and_nothing_is_constant(observe, names):
    steps = play(DMControl(task="cartpole_swingup", seed=0, observe=observe, size=(24, 32), action_repeat=10, quality="fast"), 10)
    assert steps[0].observation.keys() == names
    for name in names:
        changes = np.ptp([step.observation[name] for step in steps], axis=0) > 0
        assert changes.any() if name == "pixels" else changes.all()
    if "pixels" in names:
        assert (steps[0].observation["pixels"].shape, steps[0].observation["pixels"].dtype) == ((24, 32, 3), np.uint8)


def test_an_action_repeated_is_the_action_taken_again():
    repeated, single = (
        DMControl(task="walker_walk", seed=0, observe="both", size=16, action_repeat=count, quality="fast") for count in (4, 1)
    )
    repeated.reset(), single.reset()
    random = np.random.default_rng(0)
    for _ in range(3):
        action = random.uniform(-1, 1, 6).astype(np.float32)
        step, singles = repeated.step(action), [single.step(action) for _ in range(4)]
        assert step.reward == pytest.approx(sum(each.reward for each in singles), abs=1e-12)
        for name, array in step.observation.items():
            np.testing.assert_array_equal(array, singles[-1].observation[name])


@pytest.mark.parametrize(("action_repeat", "length"), [(7, 143), (3000, 1)])
def test_the_time_limit_ends_an_episode_with_discount_one(action_repeat, length):
    environment = DMControl(task="cartpole_balance", seed=0, observe="proprioception", action_repeat=action_repeat)
    time_step, count, total = environment.reset(), 0, 0.0
    while not time_step.last():
        time_step = environment.step(np.zeros(1, np.float32))
        count, total = count + 1, total + time_step.reward
    assert (count, time_step.discount) == (length, 1.0)
    assert 200 < total <= 1000
    assert environment.step(np.zeros(1, np.float32)).first()


def test_a_termination_has_discount_zero_and_cuts_the_repeats_short():
    environment = DMControl(task="lqr_lqr_2_1", seed=0, observe="proprioception", action_repeat=10)
    environment.reset()
    with environment._suite.physics.reset_context():  # at rest, which is where this task terminates
        environment._suite.physics.data.qpos[:] = 0
    time_step = environment.step(np.zeros(1, np.float32))
    assert (time_step.last(), time_step.discount) == (True, 0.0)
    assert time_step.reward == pytest.approx(1.0)


def test_exact_is_what_the_suite_renders_near_is_the_same_to_the_eye_and_fast_is_not():
    environments = {quality: DMControl(task="walker_walk", seed=0, quality=quality) for quality in ("exact", "near", "fast")}
    images = {quality: environment.reset().observation["pixels"].astype(float) for quality, environment in environments.items()}
    from dm_control import suite

    own = suite.load("walker", "walk")
    own.reset()
    with own.physics.reset_context():
        own.physics.set_state(environments["exact"]._suite.physics.get_state())
    np.testing.assert_array_equal(images["exact"], own.physics.render(64, 64, camera_id=0))
    assert 0 < np.abs(images["near"] - images["exact"]).mean() < 0.1
    assert 1 < np.abs(images["fast"] - images["exact"]).mean() < 20


def test_the_camera_is_dreamers_unless_chosen_by_index_or_name(monkeypatch):
    def view(camera):
        environment = DMControl(task="cartpole_swingup", seed=0, size=16, quality="fast", camera=camera)
        return environment.reset().observation["pixels"]

    np.testing.assert_array_equal(view("lookatcart"), view(1))
    assert not np.array_equal(view(1), view(0))
    monkeypatch.setattr(dm_control, "Renderer", lambda **settings: SimpleNamespace(**settings))
    assert {task: DMControl(task=task, seed=0)._renderer.camera for task in ("quadruped_walk", "walker_walk")} == {
        "quadruped_walk": 2,
        "walker_walk": 0,
    }


@pytest.mark.parametrize(
    ("bindings", "words"),
    [
        ({"task": "cartpole_swingupp"}, "did you mean 'cartpole_swingup'? Valid are: acrobot_swingup"),
        ({"camera": 5}, "1 (lookatcart)"),
        ({"camera": "lookatcat"}, "There is no camera 'lookatcat'; did you mean 'lookatcart'?"),
        ({"size": 0}, "bind a size between 1 and 16384"),
        ({"action_repeat": 0}, "action_repeat = 0 must be at least 1"),
        ({"supersampling": 0}, "supersampling = 0 must be between 1, which is none, and 256"),
    ],
)
def test_a_users_mistake_is_named(bindings, words):
    with pytest.raises(UserError) as raised:
        DMControl(**{"task": "cartpole_swingup", "seed": 0, "quality": "fast"} | bindings)
    assert words in str(raised.value)


def test_importing_the_family_imports_neither_a_simulator_nor_torch():
    code = "import sys, framework.environments; print(sorted({'dm_control', 'mujoco', 'torch', 'mlflow'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
