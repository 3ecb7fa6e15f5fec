import numpy as np
import pytest
from PIL import Image

from framework.environments import backgrounds
from framework.environments.backgrounds import Folder, Footage, Noise, Procedural
from framework.errors import UserError
from framework.tracking.media import encode_video, write_video


def played(film, count):
    """The gray of each frame."""
    return [int(film.frame(time).flat[0]) for time in range(count)]


def footage(count, seed):
    """Frames whose gray is their number."""
    frames = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(3, axis=-1)
    return Footage(frames, np.random.default_rng(seed))


@pytest.fixture
def stills(tmp_path):
    """A folder of still images with these grays."""

    def make(*grays, below=""):
        (tmp_path / below).mkdir(exist_ok=True)
        for gray in grays:
            Image.new("RGB", (8, 8), (gray,) * 3).save(tmp_path / below / f"{gray:03}.png")
        return tmp_path

    return make


def first_grays(folder, episodes, size=(4, 4)):
    """The film of each episode by its first frame."""
    films = Folder(folder, size)
    return [int(films.film(0, episode).frame(0).mean()) for episode in range(episodes)]


def test_footage_plays_forward_and_backward_by_turns_from_any_frame():
    for seed in range(20):
        shown = played(footage(5, seed), 30)
        assert set(np.abs(np.diff(shown))) == {1}
        assert (shown[:8], set(shown)) == (shown[8:16], set(range(5)))
    starts = {tuple(played(footage(5, seed), 2)) for seed in range(60)}
    assert starts == {(0, 1), (1, 2), (2, 3), (3, 4), (4, 3), (3, 2), (2, 1), (1, 0)}
    assert [set(played(footage(count, 0), 6)) for count in (1, 2)] == [{0}, {0, 1}]


def test_noise_is_a_sum_of_plane_waves_that_moves_smoothly_in_its_band():
    """The product of two matrices equals the sum of the docstring."""
    film, random, waves = Noise((64, 48), np.random.default_rng(3)), np.random.default_rng(3), backgrounds.WAVES
    direction, number = random.uniform(0, 2 * np.pi, waves), 2 * np.pi * random.uniform(*backgrounds.CYCLES, waves) / 64
    color = backgrounds.BRIGHTNESS * random.standard_normal((waves, 1)) + backgrounds.COLOR * random.standard_normal((waves, 3))
    speed = 2 * np.pi / random.uniform(*backgrounds.PERIODS, waves) * random.choice([-1.0, 1.0], waves)
    phase = random.uniform(0, 2 * np.pi, waves)
    for time, y, x in ((0, 0, 0), (0, 44, 2), (7, 1, 45)):
        angle = number * (np.cos(direction) * x + np.sin(direction) * y) + phase - speed * time
        value = 127.5 + np.sqrt(2 / waves) * (color * np.cos(angle)[:, None]).sum(axis=0)
        np.testing.assert_allclose(film.frame(time)[y, x], np.clip(value, 0, 255), atol=0.51)
    frames = np.stack([film.frame(time) for time in range(60)]).astype(float)
    assert 30 < frames.std(axis=(1, 2)).mean() < 75
    assert 1 < np.abs(np.diff(frames, axis=0)).mean() < 15
    assert np.abs(frames[40] - frames[0]).mean() > 20


@pytest.mark.parametrize("make", [lambda folder: Procedural((8, 8)), lambda folder: Folder(folder, (8, 8))], ids=["noise", "folder"])
def test_a_film_is_a_function_of_the_seed_and_the_episode(make, stills):
    folder = stills(0, 50, 100, 150, 200)

    def frames(seed, episode):
        return np.stack([make(folder).film(seed, episode).frame(time) for time in range(3)])

    np.testing.assert_array_equal(frames(1, 4), frames(1, 4))
    assert len({frames(seed, 0).tobytes() for seed in range(12)}) >= 4
    assert len({frames(0, episode).tobytes() for episode in range(5)}) == 5


@pytest.mark.parametrize("cache", [backgrounds.CACHE_BYTES, 4 * 4 * 3])
def test_each_film_of_a_folder_comes_once_before_any_comes_again(stills, monkeypatch, cache):
    monkeypatch.setattr(backgrounds, "CACHE_BYTES", cache)
    grays = first_grays(stills(0, 10, 20, 30), 40)
    turns = [tuple(grays[turn : turn + 4]) for turn in range(0, 40, 4)]
    assert all(sorted(turn) == [0, 10, 20, 30] for turn in turns)
    assert len(set(turns)) > 3


def test_a_folder_has_videos_stills_and_folders_of_frames(tmp_path, stills):
    frames = np.stack([np.full((32, 32, 3), 40 + 40 * time, np.uint8) for time in range(4)])
    write_video(tmp_path / "deep" / "er" / "a.mp4", encode_video(frames, 10.0))
    stills(102, 110, 101, below="frames")
    stills(200)
    (tmp_path / "readme.txt").write_text("text")
    folder = Folder(tmp_path, (6, 4))
    films = [folder.film(0, episode) for episode in range(3)]
    shown = sorted((sorted({int(film.frame(time).mean()) for time in range(12)}) for film in films), key=lambda grays: grays[-1])
    assert shown[::2] == [[101, 102, 110], [200]]
    np.testing.assert_allclose(shown[1], [40, 80, 120, 160], atol=4)
    assert all(film.frame(0).shape == (6, 4, 3) for film in films)


def test_a_frame_is_cut_around_its_middle(tmp_path):
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 250
    Image.fromarray(image).save(tmp_path / "wide.png")
    assert first_grays(tmp_path, 1, size=(5, 5)) == [250]


def test_only_the_first_frames_of_a_long_film_are_read(stills, monkeypatch):
    monkeypatch.setattr(backgrounds, "FILM_BYTES", 4 * 4 * 3 * 3)
    assert set(played(Folder(stills(*range(6), below="frames"), (4, 4)).film(0, 0), 20)) == {0, 1, 2}


@pytest.mark.parametrize(
    ("name", "words"), [("notes.txt", "holds no video or image"), ("a.mp4", "a.mp4' cannot be read"), ("a.png", "a.png' cannot be read")]
)
def test_an_unreadable_folder_is_named(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=f"Distractors.background: .*{words}"):
        Folder(tmp_path, (4, 4))
