from functools import partial

import numpy as np
import pytest
from PIL import Image

from framework.environments.counting import Counting
from framework.environments.distractors import Distractors
from framework.environments.dm_control import DMControl
from framework.environments.gymnasium import Gymnasium
from framework.errors import UserError
from tests.environments.samples import Plain

ROOM = "tests.environments.gymnasium_tasks:Room-v0"
CARTPOLE = partial(DMControl, task="cartpole_swingup", observe="both", size=16, action_repeat=50, quality="fast")
EVERYTHING = {"color": 0.3, "camera": 0.3}
KINDS = {
    "background": {"background": "procedural"},
    "color": {"background": None, "color": 0.3},
    "camera": {"background": None, "camera": 0.3},
}


def frames(environment, count, episode=0):
    """The images of an episode without action."""
    environment.seek(episode)
    action = np.zeros(environment.action_spec().shape)
    steps = [environment.reset(), *(environment.step(action) for _ in range(count - 1))]
    return np.stack([step.observation["pixels"] for step in steps]).astype(int)


@pytest.fixture
def folder(tmp_path):
    """Two films of four frames, gray 10 to 13 and 20 to 23."""
    for film in (10, 20):
        (tmp_path / str(film)).mkdir()
        for time in range(4):
            Image.new("RGB", (8, 8), (film + time,) * 3).save(tmp_path / str(film) / f"{time}.png")
    return tmp_path


def test_rewards_vectors_and_episodes_are_those_of_the_plain_task():
    of = partial(CARTPOLE, action_repeat=200)
    plain, distracted = of(seed=3), Distractors(of=of, seed=3, **EVERYTHING)
    assert (plain.action_repeat, plain.action_spec()) == (distracted.action_repeat, distracted.action_spec())
    random = np.random.default_rng(0)
    step, other = plain.reset(), distracted.reset()
    for _ in range(7):
        assert (step.step_type, step.reward, step.discount) == (other.step_type, other.reward, other.discount)
        for name in ("position", "velocity"):
            np.testing.assert_array_equal(step.observation[name], other.observation[name])
        assert not np.array_equal(step.observation["pixels"], other.observation["pixels"])
        action = random.uniform(-1, 1, 1)
        step, other = plain.step(action), distracted.step(action)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_within_an_episode_unless_it_is_static(kind):
    of = partial(DMControl, task="cartpole_balance", size=24, quality="fast", action_repeat=1)
    dynamic, static, plain = (
        frames(environment, 12)
        for environment in (
            Distractors(of=of, seed=0, **KINDS[kind]),
            Distractors(of=of, seed=0, change="static", **KINDS[kind]),
            of(seed=0),
        )
    )
    np.testing.assert_array_equal(dynamic[0], static[0])
    assert np.abs(dynamic[0] - plain[0]).max() > 10
    moved = [np.abs(each[-1] - each[0]).mean() for each in (dynamic, static)]
    assert moved[0] > 3 * moved[1]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_new_in_each_episode_and_for_each_seed(kind):
    of = partial(DMControl, task="cartpole_swingup", size=24, quality="fast")
    first = [frames(Distractors(of=of, seed=0, **KINDS[kind]), 2, episode) for episode in (0, 1)]
    other = frames(Distractors(of=of, seed=1, **KINDS[kind]), 2)
    assert min(np.abs(first[1] - first[0]).max(), np.abs(other - first[0]).max()) > 10


def test_without_distractors_the_images_are_the_plain_ones():
    np.testing.assert_array_equal(frames(Distractors(of=CARTPOLE, seed=2, background=None), 5), frames(CARTPOLE(seed=2), 5))


def test_videos_of_a_folder_stand_behind_and_play_forward_and_backward(folder):
    environment = Distractors(of=CARTPOLE, seed=5, background=str(folder))
    corners = [frames(environment, 8, episode)[:, 0, 0, 0] for episode in range(4)]
    for gray in corners:
        assert set(np.abs(np.diff(gray))) == {1}
        assert (gray[:2] == gray[6:]).all()
    films = [int(gray[0]) // 10 for gray in corners]
    assert sorted(films[:2]) == sorted(films[2:]) == [1, 2]


def test_a_replay_shows_the_same_distractors(folder):
    """In an episode that is not the first, with everything at once."""
    played, again = (Distractors(of=CARTPOLE, seed=1, background=str(folder), **EVERYTHING) for _ in range(2))
    played.reset()
    shown, action = [played.reset(), *(played.step(np.full(1, 0.5)) for _ in range(12))], np.full(1, 0.5)
    np.testing.assert_array_equal(again.replay(1, [action] * 9).observation["pixels"], shown[9].observation["pixels"])
    for step in shown[10:]:
        np.testing.assert_array_equal(again.step(action).observation["pixels"], step.observation["pixels"])


def test_the_background_of_a_flat_image_is_found_by_its_color():
    """A room renders its number of steps in gray: 0 is the key here, and the others are near enough to cover it in part."""
    of = partial(Gymnasium, task=ROOM, observe="pixels", size=12, arguments={"takes": "vector", "ending": 5})
    keyed, noise = (Distractors(of=of, seed=0, behind=behind) for behind in ((0, 0, 0), (200, 100, 0)))
    first = frames(keyed, 1)
    assert first.std() > 20
    assert np.unique(frames(noise, 3)).tolist() == [0, 1, 2]
    scene = Distractors(of=CARTPOLE, seed=0, behind=(255, 255, 255))
    np.testing.assert_array_equal(frames(scene, 3), frames(CARTPOLE(seed=0), 3))


@pytest.mark.parametrize(
    ("bindings", "words"),
    [
        ({"of": Plain}, "Distractors.of = Plain cannot seek an episode"),
        (
            {"of": partial(CARTPOLE, observe="proprioception")},
            "shows 0 color images, and must show one: bind DMControl.observe = 'pixels'",
        ),
        ({"of": Counting}, "Distractors.behind = 'ground' needs a scene, as DMControl has one, and Counting has none; bind the color"),
        ({"of": Counting, "background": None, "camera": 0.1}, "Distractors.camera = 0.1 needs a scene whose look can be changed"),
        ({"of": Counting, "behind": (0, 0, 0), "color": 0.2}, "and Counting has none; bind Distractors.color = 0.0."),
        ({"color": 1.5}, "Distractors.color = 1.5 is out of range"),
        ({"camera": -0.1}, "Distractors.camera = -0.1 is out of range"),
        ({"background": "no/such"}, "Distractors.background: there is no folder 'no/such'"),
    ],
)
def test_a_users_mistake_is_named(bindings, words):
    with pytest.raises(UserError) as raised:
        Distractors(**{"of": CARTPOLE, "seed": 0} | bindings)
    assert words in str(raised.value)
