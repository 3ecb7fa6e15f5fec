"""Changes to a MuJoCo scene between its update by the physics and its rendering; the physics are not touched."""

from typing import Any, Final

import numpy as np

from framework.environments.staging import CameraView, Staging

NEAREST: Final = 0.1
"""Least distance, in meters, of the point that the camera looks at."""


def stage_scene(physics: Any, scene: Any, staging: Staging) -> None:
    """Hide a replaced ground with its reflections, tint the materials, and move the camera; geoms without a material keep their color."""
    from mujoco import mjtGeom

    replaced = staging.background is not None and staging.behind == "ground"
    grounds = (mjtGeom.mjGEOM_PLANE, mjtGeom.mjGEOM_HFIELD) if replaced else ()
    for geom in scene.geoms[: scene.ngeom] if replaced or staging.tint is not None else ():
        if geom.type in grounds:
            geom.rgba[3] = 0.0
        if staging.tint is not None and geom.matid >= 0:
            geom.rgba[:3] = np.clip(geom.rgba[:3] + staging.tint[geom.matid], 0.0, 1.0)
    if staging.view != CameraView():
        move_camera(scene, staging.view, np.array(physics.data.subtree_com[0]))


def move_camera(scene: Any, view: CameraView, center: np.ndarray) -> None:
    """Move the camera on a sphere around the point of its line of sight that is nearest to `center`.

    It keeps looking at that point, and does not sink below it unless it was there: the ground hides the scene from below.
    """
    # The two cameras of a scene are a pair of eyes; the image is seen from between them.
    position, forward, up = (np.mean([getattr(eye, name) for eye in scene.camera], axis=0) for name in ("pos", "forward", "up"))
    distance = max(float((center - position) @ forward), NEAREST)
    target = position + distance * forward
    elevation = max(float(np.arcsin(np.clip(-forward[2], -1.0, 1.0))), 0.0)
    side = np.cross(forward, up)
    forward, up = _turned(forward, up, max(view.up, -elevation))
    forward, side = _turned(forward, side, view.right)
    side, up = _turned(side, up, view.roll)
    for eye in scene.camera:
        eye.pos[:] = target - distance * (1.0 + view.away) * forward
        eye.forward[:], eye.up[:] = forward, up


def _turned(first: np.ndarray, second: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotate two orthogonal axes in their plane, the first away from the second."""
    return np.cos(angle) * first - np.sin(angle) * second, np.cos(angle) * second + np.sin(angle) * first


def read_layers(context: Any, height: int, width: int) -> np.ndarray:
    """The last rendering, uint8 `[height, width, 4]`, the bottom row first; the alpha channel is the coverage of a pixel.

    MuJoCo clears a scene without a sky to transparent black and averages the samples of a pixel, alpha among them: the colors are
    weighted by the coverage. Must run in the rendering thread, after a rendering was read.
    """
    from OpenGL import GL

    bound = GL.glGetIntegerv(GL.GL_READ_FRAMEBUFFER_BINDING)
    GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, context.offFBO_r if context.offSamples else context.offFBO)
    layers = np.empty((height, width, 4), np.uint8)
    GL.glReadPixels(0, 0, width, height, GL.GL_RGBA, GL.GL_UNSIGNED_BYTE, layers)
    GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, bound)
    return layers
