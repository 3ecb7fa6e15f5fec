"""Moving backgrounds: procedural noise, or the user's own videos and images.

The film of an episode has a uint8 frame `[Y, X, 3]` for each time from 0 on, without end; it is a function of (seed, episode).
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, final

import av
import numpy as np
from PIL import Image, ImageOps

from framework.errors import UserError

VIDEOS: Final = (".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
IMAGES: Final = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ENDINGS: Final = VIDEOS + IMAGES
FILM_BYTES: Final = 16 * 2**20
"""The frames of a film that are shown, from its first: some 1,300 at 64 x 64 pixels."""
CACHE_BYTES: Final = 128 * 2**20
"""Films of a folder that stay in memory; others are read again for each of their episodes."""
WAVES: Final = 24
CYCLES: Final = (1.0, 5.0)
"""Band of the noise: waves across the image."""
PERIODS: Final = (20.0, 80.0)
"""Periods of the waves, in frames."""
BRIGHTNESS, COLOR = 45.0, 25.0
"""Standard deviations of the noise, in 255ths: of the part shared by its channels, and of each channel's own part."""


@final
class Noise:
    """Band-limited noise that moves smoothly: plane waves in random directions, each with its own color and speed.

    frame(x, y, t) = 1/2 + sum_k c_k cos(k_x x + k_y y + phase_k - speed_k t),    c_k normal for each channel, and correlated
    """

    def __init__(self, size: tuple[int, int], random: np.random.Generator) -> None:
        direction = random.uniform(0, 2 * np.pi, WAVES)
        number = 2 * np.pi * random.uniform(*CYCLES, WAVES) / max(size)
        color = BRIGHTNESS * random.standard_normal((WAVES, 1)) + COLOR * random.standard_normal((WAVES, 3))
        color *= np.sqrt(2 / WAVES)
        self._speed = 2 * np.pi / random.uniform(*PERIODS, WAVES) * random.choice([-1.0, 1.0], WAVES)
        self._phase = random.uniform(0, 2 * np.pi, WAVES)
        self._down = np.arange(size[0])[:, None] * number * np.sin(direction)
        across = np.arange(size[1])[:, None] * number * np.cos(direction)
        waves = np.stack([np.cos(across), np.sin(across)])
        # cos(a + b) = cos a cos b - sin a sin b makes a frame one product of two matrices.
        self._across = np.einsum("pxk,kc->pkxc", waves, color).reshape(2 * WAVES, -1)
        self._size = size

    def frame(self, time: int) -> np.ndarray:
        angle = self._down + self._phase - self._speed * time
        values = np.concatenate([np.cos(angle), -np.sin(angle)], axis=1) @ self._across
        return np.clip(np.rint(127.5 + values), 0, 255).astype(np.uint8).reshape(*self._size, 3)


@final
class Footage:
    """Recorded frames, played forward and backward by turns from a random frame."""

    def __init__(self, frames: np.ndarray, random: np.random.Generator) -> None:
        self._frames = frames
        self._round = max(2 * len(frames) - 2, 1)
        self._start = int(random.integers(self._round))

    def frame(self, time: int) -> np.ndarray:
        place = (self._start + time) % self._round
        return self._frames[min(place, self._round - place)]


@final
class Procedural:
    """New noise for each episode."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size

    def film(self, seed: int, episode: int) -> Noise:
        return Noise(self._size, np.random.default_rng([seed, episode]))


@final
class Folder:
    """Films of a folder, in an order drawn from the seed: each comes once before any comes again.

    A film is a video at any depth, the images of one subfolder in the order of their names, or one still image of the folder itself.
    Frames are cropped around their middle to the shape of the image and resized.
    Raises `UserError` for a folder that does not exist, has no video or image, or has an unreadable one.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self._size = size
        self._films = _films(path)
        self._cache: dict[int, np.ndarray] = {}
        for film in self._films:
            next(_read(film))

    def film(self, seed: int, episode: int) -> Footage:
        turn, place = divmod(episode, len(self._films))
        order = np.random.default_rng([seed, turn]).permutation(len(self._films))
        return Footage(self._frames(int(order[place])), np.random.default_rng([seed, episode, 1]))

    def _frames(self, number: int) -> np.ndarray:
        if number in self._cache:
            return self._cache[number]
        height, width = self._size
        limit = max(FILM_BYTES // (height * width * 3), 1)
        images = islice(_read(self._films[number]), limit)
        frames = np.stack([np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.BOX)) for image in images])
        if frames.nbytes + sum(each.nbytes for each in self._cache.values()) <= CACHE_BYTES:
            self._cache[number] = frames
        return frames


def _films(path: Path) -> list[Sequence[Path]]:
    """The files of each film: one video, or images in order."""
    if not path.is_dir():
        raise UserError(f"Distractors.background: there is no folder '{path}'; give one with videos or images, or 'procedural'.")
    films: dict[Path, list[Path]] = {}
    for file in sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file()):
        alone = file.parent == path or file.suffix.lower() in VIDEOS
        films.setdefault(file if alone else file.parent, []).append(file)
    if not films:
        raise UserError(f"Distractors.background: the folder '{path}' holds no video or image ({', '.join(ENDINGS)}); give another.")
    return list(films.values())


def _read(film: Sequence[Path]) -> Iterator[Image.Image]:
    """The frames of a film. Raises `UserError` where there is none."""
    count = 0
    for path in film:
        try:
            for image in _video(path) if path.suffix.lower() in VIDEOS else [Image.open(path).convert("RGB")]:
                count += 1
                yield image
        except (av.FFmpegError, OSError, SyntaxError) as error:
            raise UserError(f"Distractors.background: '{path}' cannot be read ({error}); remove or repair it.") from error
    if not count:
        raise UserError(f"Distractors.background: '{film[0]}' has no frame; remove it.")


def _video(path: Path) -> Iterator[Image.Image]:
    with av.open(str(path)) as container:
        if not container.streams.video:
            return
        stream: Any = container.streams.video[0]
        stream.thread_count = 1
        for frame in container.decode(stream):
            yield frame.to_image()
