from functools import partial

import numpy as np
import pytest
from PIL import Image

from framework.environments.counting import Counting
from framework.environments.distractors import Distractors
from framework.environments.dm_control import DMControl
from framework.environments.gymnasium import Gymnasium
from framework.environments.staging import CameraView
from framework.errors import UserError
from framework.testing.checks import assert_same_steps
from tests.environments.samples import Plain, Scene

ROOM = "tests.environments.gymnasium_tasks:Room-v0"
EVERYTHING = {"color": 0.3, "camera": 0.3}
KINDS = {
    "background": {"background": "procedural"},
    "tint": {"background": None, "color": 0.3},
    "view": {"background": None, "camera": 0.3},
}


def play(environment, count, episode=0):
    """The first steps of an episode, each with another action."""
    environment.seek(episode)
    actions = np.linspace(-1, 1, 24)[: count - 1].reshape(-1, *environment.action_spec().shape)
    return [environment.reset(), *(environment.step(action) for action in actions)]


def images(environment, count, episode=0):
    return np.stack([step.observation["pixels"] for step in play(environment, count, episode)])


def stagings(count=8, seed=0, episode=0, **settings):
    """What an episode shows of each kind, as text."""
    environment = Distractors(of=Scene, seed=seed, **settings)
    play(environment, count, episode)
    return {kind: [str(getattr(staging, kind)) for staging in environment._inner.stagings] for kind in KINDS}


@pytest.fixture
def folder(tmp_path):
    """Two films of four frames, gray 10 to 13 and 20 to 23."""
    for film in (10, 20):
        (tmp_path / str(film)).mkdir()
        for time in range(4):
            Image.new("RGB", (8, 8), (film + time,) * 3).save(tmp_path / str(film) / f"{time}.png")
    return tmp_path


def test_all_but_the_images_is_that_of_the_plain_task():
    plain, distracted = Scene(seed=3), Distractors(of=Scene, seed=3, **EVERYTHING)
    assert plain.action_spec() == distracted.action_spec()
    for step, other in zip(play(plain, 23), play(distracted, 23), strict=True):
        assert (step.step_type, step.reward, step.discount) == (other.step_type, other.reward, other.discount)
        np.testing.assert_allclose(step.observation["taken"], other.observation["taken"], rtol=1e-6)
        assert not np.array_equal(step.observation["pixels"], other.observation["pixels"])
    assert (
        Distractors(of=partial(Gymnasium, task="Pendulum-v1", observe="pixels", action_repeat=3), seed=0, background=None).action_repeat
        == 3
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_moves_alone_unless_it_is_static_and_is_new_for_each_episode_and_seed(kind):
    dynamic, static = stagings(**KINDS[kind]), stagings(change="static", **KINDS[kind])
    assert len(set(dynamic[kind])) == 8
    assert static[kind] == [dynamic[kind][0]] * 8
    others = stagings(1, episode=1, **KINDS[kind])[kind] + stagings(1, seed=1, **KINDS[kind])[kind]
    assert len({dynamic[kind][0], *others}) == 3
    assert {text for other in KINDS.keys() - {kind} for text in dynamic[other]} <= {"None", str(CameraView())}


def test_videos_of_a_folder_stand_behind_and_play_forward_and_backward(folder):
    environment = Distractors(of=Scene, seed=5, background=str(folder))
    corners = [images(environment, 8, episode)[:, 0, 0, 0].astype(int) for episode in range(4)]
    for gray in corners:
        assert set(np.abs(np.diff(gray))) == {1}
        assert (gray[:2] == gray[6:]).all()
    films = [int(gray[0]) // 10 for gray in corners]
    assert sorted(films[:2]) == sorted(films[2:]) == [1, 2]


def test_a_replay_stages_one_image_and_continues_with_the_same_distractors(folder):
    played, again = (Distractors(of=Scene, seed=1, background=str(folder), **EVERYTHING) for _ in range(2))
    steps, actions = play(played, 14, episode=1), np.linspace(-1, 1, 24)[:, None]
    resumed = [again.replay(1, actions[:9])]
    assert len(again._inner.stagings) == 1
    resumed += [again.step(action) for action in actions[9:13]]
    assert_same_steps(resumed, steps[9:])
    assert str(again._inner.stagings) == str(played._inner.stagings[9:])


def test_the_background_of_a_flat_image_is_replaced_by_its_color():
    """A room renders its number of steps in gray: 0 is the key here, and the others are near enough to cover it in part."""
    of = partial(Gymnasium, task=ROOM, observe="pixels", size=12, arguments={"takes": "vector", "ending": 5})
    keyed, unlike = (Distractors(of=of, seed=0, behind=behind) for behind in ((0, 0, 0), (200, 100, 0)))
    assert images(keyed, 1).std() > 20
    assert np.unique(images(unlike, 3)).tolist() == [0, 1, 2]
    scene = Distractors(of=Scene, seed=0, behind=(255, 255, 255))
    assert not images(scene, 3).any()
    assert scene._inner.stagings[-1].background is None


def test_what_the_inner_environment_gives_must_be_what_it_declares():
    class Bright(Scene):
        def _observe(self, observation):
            return super()._observe(observation) | {"pixels": np.full((6, 8, 3), 0.5)}

    with pytest.raises(UserError, match=r"Bright declares 'pixels' as uint8 of shape \(6, 8, 3\) from 0 to 255, and gives float64"):
        Distractors(of=Bright, seed=0).reset()


@pytest.mark.parametrize(
    ("bindings", "words"),
    [
        ({"of": Plain}, "Distractors.of = Plain cannot seek an episode"),
        (
            {"of": partial(DMControl, task="cartpole_swingup", observe="proprioception")},
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
        Distractors(**{"of": Scene, "seed": 0} | bindings)
    assert words in str(raised.value)
