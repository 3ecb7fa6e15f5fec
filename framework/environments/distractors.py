"""Images with distractors: backgrounds, colors and cameras that change and do not matter for the task."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import dm_env
import numpy as np
from dm_env import specs

from framework import environments
from framework.environments import normalization
from framework.environments.backgrounds import Backgrounds, Film, Folder, Procedural
from framework.environments.base import Environment, Seekable
from framework.environments.staging import Scenery, Scenic, Staging, replace_color
from framework.environments.walks import CameraWalk, ColorWalk
from framework.errors import UserError

COLOR, CAMERA = 2, 3
"""The random streams of an episode; the background has its own."""


@environments.register
@final
class Distractors(Seekable):
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

    derived: ClassVar[tuple[str, ...]] = ("seed",)

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
        self._inner = _seekable(of(seed=seed))
        self._image = _image_of(self._inner)
        _check(self._inner, color=color, camera=camera, behind=behind if background else ())
        self._backgrounds = _backgrounds(background, self._image)
        self._seed, self._behind, self._color, self._camera = seed, behind, color, camera
        self._dynamic = change == "dynamic"
        self.action_repeat = self._inner.action_repeat
        self._next_episode = 0
        self._over = True

    def seek(self, episode: int) -> None:
        self._next_episode = episode
        self._over = True
        self._inner.seek(episode)

    def reset(self) -> dm_env.TimeStep:
        self._begin()
        return self._show(self._inner.reset)

    def step(self, action: Any) -> dm_env.TimeStep:
        if self._over:
            return self.reset()
        self._distraction.step()
        return self._show(lambda: self._inner.step(action))

    def replay(self, episode: int, actions: Iterable[Any]) -> dm_env.TimeStep:
        """Take an episode's actions again; only the last step is rendered, with the distractors of its time."""
        actions = list(actions)
        self.seek(episode)
        self._begin()
        for _ in actions:
            self._distraction.step()
        return self._show(lambda: self._inner.replay(episode, actions))

    def observation_spec(self) -> dict[str, specs.Array]:
        return normalization.observation_spec(self._inner.observation_spec())

    def action_spec(self) -> Any:
        return self._inner.action_spec()

    def close(self) -> None:
        self._over = True
        self._inner.close()

    def _begin(self) -> None:
        episode, self._next_episode = self._next_episode, self._next_episode + 1
        colors = self._inner.colors if isinstance(self._inner, Scenic) else np.zeros((0, 3))
        self._distraction = _Distraction(
            film=self._backgrounds.film(self._seed, episode) if self._backgrounds else None,
            colors=ColorWalk(colors=colors, reach=self._color, random=np.random.default_rng([self._seed, episode, COLOR])),
            camera=CameraWalk(reach=self._camera, random=np.random.default_rng([self._seed, episode, CAMERA])),
            dynamic=self._dynamic,
        )

    def _show(self, take: Callable[[], dm_env.TimeStep]) -> dm_env.TimeStep:
        """Take a step of the inner environment with its images staged."""
        now, behind = self._distraction, self._behind
        frame = now.film.frame(now.time) if now.film else None
        if isinstance(self._inner, Scenic):
            staging = Staging(tint=now.colors.tint if self._color else None, view=now.camera.view)
            self._inner.stage(replace(staging, background=frame, behind=behind) if isinstance(behind, str) else staging)
        time_step = take()
        self._over = time_step.last()
        observation = normalization.observation(time_step.observation)
        if frame is not None and not isinstance(behind, str):
            observation[self._image.name] = replace_color(observation[self._image.name], behind, frame)
        return time_step._replace(observation=observation)


@final
@dataclass
class _Distraction:
    """The distractors of one episode, from step to step."""

    film: Film | None
    colors: ColorWalk
    camera: CameraWalk
    dynamic: bool
    time: int = 0

    def step(self) -> None:
        if self.dynamic:
            self.time += 1
            self.colors.step()
            self.camera.step()


def _seekable(inner: Environment) -> Seekable:
    if not isinstance(inner, Seekable):
        raise UserError(f"Distractors.of = {_name(inner)} cannot seek an episode, which an exact resume needs; derive it from `Seekable`.")
    return inner


def _image_of(inner: Environment) -> specs.Array:
    spec = normalization.observation_spec(inner.observation_spec())
    images = [each for each in spec.values() if len(each.shape) == 3 and each.shape[2] == 3]
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


def _backgrounds(background: str | None, image: specs.Array) -> Backgrounds | None:
    if background is None:
        return None
    size = image.shape[0], image.shape[1]
    return Procedural(size) if background == "procedural" else Folder(Path(background), size)


def _name(inner: Environment) -> str:
    return type(inner).__name__
