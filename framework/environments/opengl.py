"""Find an OpenGL that renders without a screen: `python -m framework.environments.opengl` prints its name.

MuJoCo reads the choice from `MUJOCO_GL` when it is first imported, so this must come first. A broken driver may crash or hang
the process that tries it: hence each is tried in a process of its own.
"""

import os
import subprocess
import sys
from typing import Final

from framework.errors import UserError

VARIABLE: Final = "MUJOCO_GL"
PACKAGES: Final = "libegl1 libopengl0 libgl1-mesa-dri libosmesa6"
PATIENCE: Final = 60.0
"""Seconds that one try may take: the import of MuJoCo on a cold disk is most of it."""

_TRY: Final = """
from dm_control import mujoco
physics = mujoco.Physics.from_xml_string(
    '<mujoco><worldbody><light pos="0 0 3"/><geom type="sphere" size="0.3"/></worldbody></mujoco>'
)
assert physics.render(16, 16).any()
"""


def find_opengl() -> str:
    """The backend to render with, set in `MUJOCO_GL` for this process and its children.

    The user's own `MUJOCO_GL` is taken as it is. Raises `UserError` with the one line to run where there is none.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return chosen
    reasons = {}
    for backend in _candidates():
        reasons[backend] = _reason_against(backend)
        if not reasons[backend]:
            os.environ[VARIABLE] = backend
            return backend
    tried = "; ".join(f"{backend}: {reason}" for backend, reason in reasons.items())
    raise UserError(f"no OpenGL renders without a screen here ({tried}): {remedy()}.")


def remedy() -> str:
    """What a user without OpenGL does."""
    if sys.platform.startswith("linux"):
        return f"run `apt-get install -y {PACKAGES}` as root, or set {VARIABLE} to a backend that works"
    return f"set {VARIABLE} to a backend that works"


def broken(error: Exception) -> UserError:
    """What to say when MuJoCo fails with the backend that was chosen, by the user or by an earlier process."""
    return UserError(f"MuJoCo fails with {VARIABLE}={os.environ.get(VARIABLE, '')} ({error}): {remedy()}.")


def _candidates() -> tuple[str, ...]:
    return ("egl", "osmesa") if sys.platform.startswith("linux") else ("glfw",)


def _reason_against(backend: str) -> str:
    """Why a backend does not render; empty if it does."""
    environment = os.environ | {VARIABLE: backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("PYOPENGL_PLATFORM", None)
    try:
        run = subprocess.run([sys.executable, "-c", _TRY], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer in {PATIENCE:.0f} s"
    if run.returncode == 0:
        return ""
    words = run.stderr.strip().splitlines()
    return words[-1].strip() if words else f"exit status {run.returncode}"


def main() -> int:
    """Print the backend, or why there is none; the exit status says which."""
    try:
        print(find_opengl())
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
