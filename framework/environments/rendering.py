"""Images of a MuJoCo physics at three qualities."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final, Literal, final

import numpy as np
from einops import reduce

from framework.environments import opengl
from framework.environments.scene import read_layers, stage_scene
from framework.environments.staging import Staging, composite
from framework.errors import UserError
from framework.registry import advice

Quality = Literal["exact", "near", "fast"]
NEAR_SHADOW_MAP = 256
LARGEST_IMAGE: Final = 16_384
"""Pixels in a row and in a column."""


@final
class Renderer:
    """The image of one camera, uint8 `[height, width, channel]`. OpenGL is opened for the first one.

    `exact` is what the suite renders. `near` has a shadow map of 256 instead of 2,048 pixels: the same to the eye, and about
    twice as fast in software. `fast` has no multisampling, shadows or reflections: many times as fast, and looks different.
    With `supersampling` s, an image is rendered s times as wide and high, and averaged: thin things stay visible in small images.
    """

    def __init__(self, *, physics: Any, size: tuple[int, int], camera: int | str, quality: Quality, supersampling: int = 1) -> None:
        height, width = size
        if not 1 <= min(size) <= max(size) <= LARGEST_IMAGE:
            raise UserError(
                f"DMControl.size: an image of {height} x {width} pixels cannot be rendered; bind a size between 1 and {LARGEST_IMAGE}."
            )
        if not 1 <= supersampling <= LARGEST_IMAGE // max(size):
            raise UserError(
                f"DMControl.supersampling = {supersampling} must be between 1, which is none, and {LARGEST_IMAGE // max(size)}: "
                f"OpenGL renders {LARGEST_IMAGE} pixels in a row at most."
            )
        self._size, self._supersampling = (height * supersampling, width * supersampling), supersampling
        _prepare(physics.model.vis, size=self._size, quality=quality)
        self._index = _index(physics.model, camera)
        self._physics, self._staging = physics, Staging()
        self._flags = {"shadow": False, "reflection": False} if quality == "fast" else {}

    @cached_property
    def _camera(self) -> Any:
        opengl.prepare_dm_control()
        from dm_control.mujoco import engine

        def stage(physics: Any, scene: Any) -> None:
            stage_scene(physics, scene, self._staging)

        try:
            return engine.Camera(self._physics, *self._size, self._index, scene_callback=stage)
        except Exception as error:
            raise opengl.broken(error) from error

    def stage(self, staging: Staging) -> None:
        """Stage the images from the next one on."""
        self._staging = staging

    def image(self) -> np.ndarray:
        """A new image of the present state of the physics."""
        with _collection_paused():
            if self._staging.background is not None:
                layers = self._averaged(self._layers())
                return composite(layers[..., :3], layers[..., 3:] / 255, self._staging.background)
            image = self._camera.render(render_flag_overrides=self._flags)
            if self._supersampling == 1:
                return np.array(image, order="C")
        return self._averaged(image).round().astype(np.uint8)

    def _layers(self) -> np.ndarray:
        """The foreground, and its coverage of each pixel in 255ths as a fourth channel."""
        self._camera.render(render_flag_overrides=self._flags | {"skybox": False})
        contexts = self._physics.contexts
        with contexts.gl.make_current() as thread:
            layers = thread.call(read_layers, contexts.mujoco.ptr, self._camera.height, self._camera.width)
        return contexts.gl.to_pixels(layers)

    def _averaged(self, image: np.ndarray) -> np.ndarray:
        wide = image.astype(np.float32)
        return reduce(wide, "(y v) (x u) c -> y x c", "mean", v=self._supersampling, u=self._supersampling)


@contextmanager
def _collection_paused() -> Iterator[None]:
    """A garbage collection may free another environment, whose OpenGL context would be the current one from then on."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _prepare(visual: Any, size: tuple[int, int], quality: Quality) -> None:
    """Settings that the OpenGL context reads when it is made; a frame buffer of the image's size saves clearing the rest."""
    visual.global_.offheight, visual.global_.offwidth = size
    if quality == "near":
        visual.quality.shadowsize = NEAR_SHADOW_MAP
    if quality == "fast":
        visual.quality.shadowsize = 0
        visual.quality.offsamples = 0


def _index(model: Any, camera: int | str) -> int:
    names = [model.id2name(index, "camera") or str(index) for index in range(model.ncam)]
    if isinstance(camera, str) and camera in names:
        return names.index(camera)
    if isinstance(camera, int) and 0 <= camera < len(names):
        return camera
    listed = [f"{index} ({name})" for index, name in enumerate(names)]
    raise UserError(f"There is no camera '{camera}'{advice(str(camera), names, listed)}.")
