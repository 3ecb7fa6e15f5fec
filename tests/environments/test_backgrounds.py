import numpy as np
import pytest
from PIL import Image

from framework.environments import backgrounds
from framework.environments.backgrounds import Folder, Footage, Noise, Procedural
from framework.errors import UserError
from framework.tracking.media import write_video


def numbered(count):
    """Frames whose gray is their number."""
    return np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(3, axis=-1)


def played(film, count):
    return [int(film.frame(time).flat[0]) for time in range(count)]


def gray(path, value, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def values(folder, episodes, seed=0, size=(4, 4)):
    """The film of each episode by the gray of its first frame."""
    films = Folder(folder, size)
    return [int(films.film(seed, episode).frame(0).mean()) for episode in range(episodes)]


def test_footage_plays_forward_and_backward_by_turns():
    for seed in range(20):
        shown = played(Footage(numbered(5), np.random.default_rng(seed)), 30)
        steps = np.diff(shown)
        assert set(np.abs(steps)) == {1}
        assert (shown[:8], set(shown)) == (shown[8:16], set(range(5)))
    starts = {tuple(played(Footage(numbered(5), np.random.default_rng(seed)), 2)) for seed in range(60)}
    assert starts == {(0, 1), (1, 2), (2, 3), (3, 4), (4, 3), (3, 2), (2, 1), (1, 0)}


@pytest.mark.parametrize("count", [1, 2])
def test_footage_of_one_or_two_frames_plays(count):
    assert set(played(Footage(numbered(count), np.random.default_rng(0)), 6)) == set(range(count))


def test_noise_moves_smoothly_in_its_band():
    film = Noise((64, 48), np.random.default_rng(0))
    frames = np.stack([film.frame(time) for time in range(60)]).astype(float)
    assert frames.shape == (60, 64, 48, 3)
    assert 30 < frames.std(axis=(1, 2)).mean() < 75
    assert 1 < np.abs(np.diff(frames, axis=0)).mean() < 15
    assert np.abs(frames[40] - frames[0]).mean() > 20
    spectrum = np.abs(np.fft.rfft2(frames[0, :48, :, 1] - frames[0, :48, :, 1].mean())) ** 2
    down, across = np.meshgrid(np.fft.fftfreq(48) * 64, np.fft.rfftfreq(48) * 64, indexing="ij")
    in_band = np.hypot(down, across) < 8
    assert spectrum[in_band].sum() > 0.9 * spectrum.sum()


def test_noise_is_a_sum_of_plane_waves():
    """The product of two matrices equals the sum of the docstring."""
    film = Noise((5, 6), np.random.default_rng(3))
    random = np.random.default_rng(3)
    waves = backgrounds.WAVES
    direction, number = random.uniform(0, 2 * np.pi, waves), 2 * np.pi * random.uniform(*backgrounds.CYCLES, waves) / 6
    color = backgrounds.BRIGHTNESS * random.standard_normal((waves, 1)) + backgrounds.COLOR * random.standard_normal((waves, 3))
    speed = 2 * np.pi / random.uniform(*backgrounds.PERIODS, waves) * random.choice([-1.0, 1.0], waves)
    phase = random.uniform(0, 2 * np.pi, waves)
    for time in (0, 7):
        frame = film.frame(time)
        for y, x in ((0, 0), (4, 2), (1, 5)):
            angle = number * (np.cos(direction) * x + np.sin(direction) * y) + phase - speed * time
            value = 127.5 + np.sqrt(2 / waves) * (color * np.cos(angle)[:, None]).sum(axis=0)
            np.testing.assert_allclose(frame[y, x], np.clip(value, 0, 255), atol=0.51)


@pytest.mark.parametrize("make", [lambda folder: Procedural((8, 8)), lambda folder: Folder(folder, (8, 8))])
def test_a_film_follows_from_the_seed_and_the_episode(make, tmp_path):
    for name in range(5):
        gray(tmp_path / f"{name}.png", 50 * name)

    def frames(seed, episode):
        return np.stack([make(tmp_path).film(seed, episode).frame(time) for time in range(3)])

    np.testing.assert_array_equal(frames(1, 4), frames(1, 4))
    assert len({frames(seed, 0).tobytes() for seed in range(12)}) >= 4
    assert len({frames(0, episode).tobytes() for episode in range(5)}) == 5


def test_each_film_of_a_folder_comes_once_before_any_comes_again(tmp_path):
    for name in range(4):
        gray(tmp_path / f"{name}.png", 10 * name)
    drawn = values(tmp_path, 40)
    assert all(sorted(drawn[turn : turn + 4]) == [0, 10, 20, 30] for turn in range(0, 40, 4))
    assert len({tuple(drawn[turn : turn + 4]) for turn in range(0, 40, 4)}) > 3


def test_a_folder_has_videos_stills_and_folders_of_frames(tmp_path):
    write_video(tmp_path / "deep" / "er" / "a.mp4", np.stack([np.full((32, 32, 3), 40 + 40 * time, np.uint8) for time in range(4)]), 10.0)
    for time in (2, 10, 1):
        gray(tmp_path / "frames" / f"{time:03}.jpg", 100 + time)
    gray(tmp_path / "still.png", 200)
    (tmp_path / "readme.txt").write_text("text")
    folder = Folder(tmp_path, (6, 4))
    films = [folder.film(0, episode) for episode in range(3)]
    shown = sorted((sorted({int(film.frame(time).mean()) for time in range(12)}) for film in films), key=lambda grays: grays[-1])
    assert shown[0] == [101, 102, 110]
    np.testing.assert_allclose(shown[1], [40, 80, 120, 160], atol=4)
    assert shown[2] == [200]
    assert all(film.frame(0).shape == (6, 4, 3) for film in films)


def test_a_frame_is_cut_around_its_middle(tmp_path):
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 250
    Image.fromarray(image).save(tmp_path / "wide.png")
    assert values(tmp_path, 1, size=(5, 5)) == [250]


def test_only_the_first_frames_of_a_long_film_are_read(tmp_path, monkeypatch):
    for time in range(6):
        gray(tmp_path / "frames" / f"{time}.png", time)
    monkeypatch.setattr(backgrounds, "FILM_BYTES", 4 * 4 * 3 * 3)
    assert set(played(Folder(tmp_path, (4, 4)).film(0, 0), 20)) == {0, 1, 2}


def test_films_beyond_the_cache_are_read_again(tmp_path, monkeypatch):
    for name in range(3):
        gray(tmp_path / f"{name}.png", 10 * name)
    cached = values(tmp_path, 9)
    monkeypatch.setattr(backgrounds, "CACHE_BYTES", 4 * 4 * 3)
    assert values(tmp_path, 9) == cached


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"x", "holds no video or image"),
        ("a.mp4", b"no video", "a.mp4' cannot be read"),
        ("a.png", b"no image", "a.png' cannot be read"),
    ],
)
def test_an_unreadable_folder_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as raised:
        Folder(tmp_path, (4, 4))
    assert "Distractors.background" in str(raised.value)
    assert words in str(raised.value)
