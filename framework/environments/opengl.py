"""Find an OpenGL that renders without a screen: `python -m framework.environments.opengl` prints its name.

dm_control chooses its renderer from `MUJOCO_GL` when it is imported. `import_suite` imports it without one, so that specs need no OpenGL;
`prepare_dm_control` adds the renderer before the first image. Each backend is tried in a process of its own, which it may crash or hang.
"""

import contextlib
import importlib
import os
import subprocess
import sys
from functools import cache
from importlib.util import LazyLoader, find_spec, module_from_spec
from typing import Any, Final

from framework.errors import UserError

VARIABLE: Final = "MUJOCO_GL"
PLATFORM: Final = "PYOPENGL_PLATFORM"
"""PyOpenGL's own choice, which dm_control refuses unless it is the same."""
DISABLED: Final = "disabled"
PACKAGES: Final = "libegl1 libopengl0 libgl1-mesa-dri libosmesa6"
TRIAL_SECONDS: Final = 60.0
"""Time for one trial; most of it is the import of MuJoCo from a cold disk."""

_TRIAL: Final = """
from dm_control import mujoco
physics = mujoco.Physics.from_xml_string(
    '<mujoco><worldbody><light pos="0 0 3"/><geom type="sphere" size="0.3"/></worldbody></mujoco>'
)
assert physics.render(16, 16).any()
"""


def find_opengl() -> str:
    """The user's own `MUJOCO_GL`, untried, or else that of `try_opengl`."""
    return os.environ.get(VARIABLE) or try_opengl()


def try_opengl() -> str:
    """The backend that renders, set in `MUJOCO_GL` for this process and its children; a backend that the user chose is tried alone.

    Raises `UserError` with the one line to run where no backend renders.
    """
    chosen = os.environ.get(VARIABLE)
    reasons = {}
    for backend in (chosen,) if chosen else _candidates():
        reasons[backend] = _reason_against(backend)
        if not reasons[backend]:
            os.environ[VARIABLE] = backend
            return backend
    tried = "; ".join(f"{backend}: {reason}" for backend, reason in reasons.items())
    raise UserError(f"no OpenGL renders without a screen here ({tried}): {_remedy(tried)}.")


@cache
def prefer_opengl() -> None:
    """`find_opengl` for images that may come without it."""
    with contextlib.suppress(UserError):
        find_opengl()


def import_suite() -> Any:
    """`dm_control.suite`, imported without a renderer unless the user chose one."""
    chosen = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = chosen or DISABLED
    try:
        _postpone_ndimage()
        from dm_control import suite
    except Exception as error:
        raise broken(error) from error
    finally:
        if not chosen:
            del os.environ[VARIABLE]
    return suite


def _postpone_ndimage() -> None:
    """Let `scipy.ndimage`, half of the suite's import, load at its first use, which only the terrain of `quadruped_escape` has."""
    package: Any = importlib.import_module("scipy")
    name = "scipy.ndimage"
    if name in sys.modules or (spec := find_spec(name)) is None or spec.loader is None:
        return
    spec.loader = LazyLoader(spec.loader)
    # As an attribute too: an import statement that finds the module in `sys.modules` alone would load it.
    package.ndimage = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


def prepare_dm_control() -> None:
    """Give dm_control the renderer of `find_opengl`, if it was imported without one, or before with one that needs a screen."""
    from dm_control import _render

    backend = find_opengl()
    if backend not in (_render.BACKEND, *_render.constants.NO_RENDERER):
        importlib.reload(_render)


def _remedy(reason: str) -> str:
    """The line for a user without OpenGL."""
    if PLATFORM in reason:
        return f"run `unset {PLATFORM}`, which is '{os.environ.get(PLATFORM, '')}'"
    install = f"run `apt-get install -y {PACKAGES}` as root, or " if sys.platform.startswith("linux") else ""
    return f"{install}set {VARIABLE} to a backend that works"


def broken(error: Exception) -> UserError:
    """The error for a backend, chosen by the user or by an earlier process, with which MuJoCo fails."""
    return UserError(f"MuJoCo fails with {VARIABLE}={os.environ.get(VARIABLE, '')} ({error}): {_remedy(str(error))}.")


def _candidates() -> tuple[str, ...]:
    return ("egl", "osmesa") if sys.platform.startswith("linux") else ("glfw",)


def _reason_against(backend: str) -> str:
    """Why a backend does not render; empty if it does."""
    environment = os.environ | {VARIABLE: backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    trial = [sys.executable, "-c", _TRIAL]
    try:
        run = subprocess.run(trial, env=environment, capture_output=True, text=True, timeout=TRIAL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer in {TRIAL_SECONDS:.0f} s"
    if run.returncode == 0:
        return ""
    lines = run.stderr.strip().splitlines()
    return lines[-1].strip() if lines else f"exit status {run.returncode}"


if __name__ == "__main__":
    try:
        print(find_opengl())
    except UserError as error:
        sys.exit(str(error))
