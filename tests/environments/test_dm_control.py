import os
import subprocess
import sys

import numpy as np
import pytest

from framework.environments.dm_control import DMControl, tasks
from framework.errors import UserError
from tests.environments.time_steps import assert_same


def play(environment, length, seed=0):
    """The first steps of one episode under random actions."""
    random = np.random.default_rng(seed)
    size = environment.action_spec().shape
    return [environment.reset(), *(environment.step(random.uniform(-1, 1, size).astype(np.float32)) for _ in range(length))]


def test_it_loads_every_task_of_the_suite_and_an_alias():
    assert len(tasks()) == 52  # 51 tasks of dm_control 1.0.50, and the alias
    assert tasks()["cup_catch"] == tasks()["ball_in_cup_catch"]


@pytest.mark.parametrize("task", ["cup_catch", "dog_run", "humanoid_CMU_run", "lqr_lqr_6_2", "manipulator_insert_peg", "stacker_stack_4"])
def test_a_task_shows_what_its_specs_say(task):
    environment = DMControl(task=task, seed=0, observe="proprioception", action_repeat=1)
    assert (environment.action_spec().minimum.min(), environment.action_spec().maximum.max()) == (-1, 1)
    spec = environment.observation_spec()
    for step in play(environment, 2):
        assert step.observation.keys() == spec.keys()
        for name, array in step.observation.items():
            spec[name].validate(array)
            assert array.ndim == 1
            assert np.isfinite(array).all()
    environment.close()


def test_the_seed_determines_the_random_parts_of_a_model_too():
    """The springs of `lqr` are drawn when it is made."""

    def steps(seed):
        return play(DMControl(task="lqr_lqr_2_1", seed=seed, observe="proprioception"), 5)

    assert_same(steps(7), steps(7))
    assert not np.array_equal(steps(7)[0].observation["position"], steps(8)[0].observation["position"])


@pytest.mark.parametrize("task", ["finger_turn_hard", "manipulator_bring_ball", "point_mass_hard"])
def test_an_episode_depends_on_its_index_alone(task):
    played = DMControl(task=task, seed=5, observe="proprioception")
    episodes = [play(played, 10, seed=index) for index in range(3)]
    sought = DMControl(task=task, seed=5, observe="proprioception")
    sought.seek(2)
    assert_same(episodes[2], play(sought, 10, seed=2))
    sought.seek(0)
    assert_same(episodes[0], play(sought, 10, seed=0))
    with pytest.raises(AssertionError):
        assert_same(episodes[0][:1], episodes[1][:1])


@pytest.mark.parametrize("observe", ["pixels", "proprioception", "both"])
def test_it_shows_what_observe_names_and_nothing_is_constant(observe):
    steps = play(DMControl(task="cartpole_swingup", seed=0, observe=observe, size=(24, 32), action_repeat=10, quality="fast"), 20)
    names = {"pixels": {"pixels"}, "proprioception": {"position", "velocity"}, "both": {"pixels", "position", "velocity"}}
    assert steps[0].observation.keys() == names[observe]
    for name in names[observe] - {"pixels"}:
        assert (np.ptp([step.observation[name] for step in steps], axis=0) > 0).all()
    if "pixels" in names[observe]:
        images = np.stack([step.observation["pixels"] for step in steps])
        assert images.shape == (21, 24, 32, 3)
        assert images.dtype == np.uint8
        assert len({image.tobytes() for image in images}) > 10


def test_its_specs_need_no_renderer():
    """A whole process without OpenGL knows them; the import of dm_control leaves the choice of a renderer open."""
    code = (
        "import os\nfrom framework.environments.dm_control import DMControl\n"
        "environment = DMControl(task='walker_walk', seed=0, observe='both')\n"
        "print(environment.observation_spec()['pixels'].shape, environment.action_spec().shape, 'MUJOCO_GL' in os.environ)\n"
        "print(environment.reset().observation['pixels'].any(), 'MUJOCO_GL' in os.environ)"
    )
    variables = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    run = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["(64, 64, 3) (6,) False", "True True"]


def test_an_action_repeated_is_the_action_taken_again():
    repeated = DMControl(task="walker_walk", seed=0, observe="both", size=16, action_repeat=4, quality="fast")
    single = DMControl(task="walker_walk", seed=0, observe="both", size=16, action_repeat=1, quality="fast")
    repeated.reset(), single.reset()
    random = np.random.default_rng(0)
    for _ in range(5):
        action = random.uniform(-1, 1, 6).astype(np.float32)
        step, singles = repeated.step(action), [single.step(action) for _ in range(4)]
        assert step.reward == pytest.approx(sum(each.reward for each in singles), abs=1e-12)
        for name, array in step.observation.items():
            np.testing.assert_array_equal(array, singles[-1].observation[name])


@pytest.mark.parametrize(("action_repeat", "length"), [(1, 1000), (7, 143), (3000, 1)])
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
    assert not environment.step(np.zeros(1, np.float32)).last()
    with environment._suite.physics.reset_context():  # at rest, which is where this task terminates
        environment._suite.physics.data.qpos[:] = 0
    time_step = environment.step(np.zeros(1, np.float32))
    assert time_step.last()
    assert time_step.discount == 0.0
    assert time_step.reward == pytest.approx(1.0)


def test_exact_is_what_the_suite_renders():
    environment = DMControl(task="walker_walk", seed=0, observe="pixels", quality="exact")
    image = environment.reset().observation["pixels"]
    from dm_control import suite

    own = suite.load("walker", "walk")
    own.reset()
    with own.physics.reset_context():
        own.physics.set_state(environment._suite.physics.get_state())
    np.testing.assert_array_equal(image, own.physics.render(64, 64, camera_id=0))


@pytest.mark.parametrize("task", ["cartpole_swingup", "walker_walk"])
def test_near_is_the_same_to_the_eye_and_fast_is_not(task):
    def images(quality):
        steps = play(DMControl(task=task, seed=0, observe="pixels", quality=quality), 3)
        return np.stack([step.observation["pixels"] for step in steps]).astype(float)

    exact = images("exact")
    assert 0 < np.abs(images("near") - exact).mean() < 0.1
    assert 1 < np.abs(images("fast") - exact).mean() < 20


def test_the_camera_is_dreamers_unless_chosen():
    def view(camera):
        return DMControl(task="quadruped_walk", seed=0, size=32, quality="fast", camera=camera).reset().observation["pixels"]

    default, *same, other = map(view, (None, 2, "y", 0))
    assert all(np.array_equal(default, image) for image in same)
    assert not np.array_equal(default, other)


@pytest.mark.parametrize(
    ("bindings", "words"),
    [
        ({"task": "cartpole_swingupp"}, "did you mean 'cartpole_swingup'"),
        ({"task": "cartpole_swingupp"}, "walker_run"),
        ({"camera": 5}, "1 (lookatcart)"),
        ({"camera": "lookatcat"}, "There is no camera 'lookatcat'; did you mean 'lookatcart'?"),
        ({"size": 0}, "size of at least 1"),
        ({"action_repeat": 0}, "action_repeat = 0 must be at least 1"),
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
