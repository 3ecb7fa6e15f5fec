"""Images with distractors: backgrounds, colors and cameras that change and do not matter for the task."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, final

import dm_env
import numpy as np
from dm_env import specs

from framework import environments
from framework.environments.backgrounds import Folder, Procedural
from framework.environments.base import Environment, SeededEpisodes, Seekable
from framework.environments.observations import ObservationForm
from framework.environments.staging import Scenery, Scenic, Staging, replace_color
from framework.environments.walks import CameraWalk, ColorWalk
from framework.errors import UserError

COLOR, CAMERA = 2, 3
"""The random streams of an episode; the background has its own."""


@environments.register
@final
class Distractors(SeededEpisodes):
    """Another environment whose images have distractors; its rewards, vectors and episodes are unchanged.

    `background` replaces what is `behind`: the `sky`, the `ground` with the sky, or one color (red, green, blue) of an environment that
    has no scene. It is `procedural`, moving noise that needs no files, or a folder of videos and images: each episode draws one, which
    plays forward and backward by turns. `color` and `camera` are the reach of colors and camera: 0.1, 0.2 and 0.3 are the paper's easy,
    medium and hard. With `change` = `static` nothing moves within an episode.
    The distractors are a function of the seed, the episode and the step, so that an exact resume shows the same.
    Raises `UserError` where the environment shows no single image, cannot seek, or has no scene to change.
    Source: after Stone et al. 2021, the Distracting Control Suite, arXiv 2101.02722. There the background is painted on the sky of the
    scene and everything moves with each control step; here it is fixed to the image and moves with each step of the agent, whose
    action may be repeated.
    """

    def __init__(
        self,
        *,
        of: Callable[..., Environment],
        seed: int,
        background: str | None = "procedural",
        behind: Scenery | tuple[int, int, int] = "ground",
        color: float = 0.0,
        camera: float = 0.0,
        change: Literal["dynamic", "static"] = "dynamic",
    ) -> None:
        super().__init__(seed=seed)
        self._inner = _seekable(of(seed=seed))
        self._form = ObservationForm(_name(self._inner), self._inner.observation_spec())
        self._image = _image_of(self._inner, self._form.spec)
        _check(self._inner, color=color, camera=camera, behind=behind if background else ())
        size = self._image.shape[0], self._image.shape[1]
        self._backgrounds = Procedural(size) if background == "procedural" else Folder(Path(background), size) if background else None
        self._behind, self._color, self._camera, self._dynamic = behind, color, camera, change == "dynamic"
        self.action_repeat = self._inner.action_repeat

    def replay(self, episode: int, actions: Iterable[Any]) -> dm_env.TimeStep:
        """Take an episode's actions again; only the last step is rendered, with the distractors of its time."""
        actions = list(actions)
        self._episode = episode
        self._begin_distractors()
        for _ in actions:
            self._move_distractors()
        self._stage()
        time_step = self._inner.replay(episode, actions)
        self._over = time_step.last()
        return self._observed(time_step)

    def observation_spec(self) -> dict[str, specs.Array]:
        return self._form.spec

    def action_spec(self) -> Any:
        return self._inner.action_spec()

    def close(self) -> None:
        self._inner.close()

    def _restart(self, entropy: np.random.SeedSequence) -> dm_env.TimeStep:
        self._begin_distractors()
        self._stage()
        self._inner.seek(self._episode)
        return self._inner.reset()

    def _simulate(self, action: Any) -> dm_env.TimeStep:
        self._move_distractors()
        self._stage()
        return self._inner.step(action)

    def _observe(self, observation: Any) -> dict[str, np.ndarray]:
        named, name = self._form.normalize(observation), self._image.name
        if self._frame is None or isinstance(self._behind, str):
            return named
        return named | {name: replace_color(named[name], self._behind, self._frame)}

    def _begin_distractors(self) -> None:
        colors = self._inner.colors if isinstance(self._inner, Scenic) else np.zeros((0, 3))
        of_colors, of_camera = (np.random.default_rng([self._seed, self._episode, stream]) for stream in (COLOR, CAMERA))
        self._film = self._backgrounds.film(self._seed, self._episode) if self._backgrounds else None
        self._color_walk = ColorWalk(colors=colors, reach=self._color, random=of_colors)
        self._camera_walk = CameraWalk(reach=self._camera, random=of_camera)
        self._time = 0

    def _move_distractors(self) -> None:
        if self._dynamic:
            self._time += 1
            self._color_walk.step()
            self._camera_walk.step()

    def _stage(self) -> None:
        """Show the distractors in the images of the inner environment from the next one on."""
        self._frame = self._film.frame(self._time) if self._film else None
        if isinstance(self._inner, Scenic):
            staging = Staging(tint=self._color_walk.tint if self._color else None, view=self._camera_walk.view)
            if isinstance(self._behind, str):
                staging = replace(staging, background=self._frame, behind=self._behind)
            self._inner.stage(staging)


def _seekable(inner: Environment) -> Seekable:
    if not isinstance(inner, Seekable):
        raise UserError(f"Distractors.of = {_name(inner)} cannot seek an episode, which an exact resume needs; derive it from `Seekable`.")
    return inner


def _image_of(inner: Environment, spec: Mapping[str, specs.Array]) -> specs.Array:
    images = [array for array in spec.values() if len(array.shape) == 3 and array.shape[2] == 3]
    if len(images) != 1:
        raise UserError(
            f"Distractors.of = {_name(inner)} shows {len(images)} color images, and must show one: "
            f"bind {_name(inner)}.observe = 'pixels' if it has that."
        )
    return images[0]


def _check(inner: Environment, *, color: float, camera: float, behind: Scenery | tuple[int, ...]) -> None:
    for name, value in (("color", color), ("camera", camera)):
        if not 0 <= value <= 1:
            raise UserError(f"Distractors.{name} = {value:g} is out of range; bind a number from 0 to 1, such as 0.1.")
        if value and not isinstance(inner, Scenic):
            raise UserError(
                f"Distractors.{name} = {value:g} needs a scene whose look can be changed, as DMControl has one, and {_name(inner)} "
                f"has none; bind Distractors.{name} = 0.0."
            )
    if isinstance(behind, str) and not isinstance(inner, Scenic):
        raise UserError(
            f"Distractors.behind = '{behind}' needs a scene, as DMControl has one, and {_name(inner)} has none; bind the color to "
            "replace, as in Distractors.behind = (255, 255, 255)."
        )


def _name(inner: Environment) -> str:
    return type(inner).__name__
