import os
import subprocess
import sys

import pytest

from framework.environments import opengl
from framework.errors import UserError


def test_it_prints_the_backend_that_renders():
    environment = {name: value for name, value in os.environ.items() if name not in (opengl.VARIABLE, "PYOPENGL_PLATFORM")}
    run = subprocess.run([sys.executable, "-m", opengl.__name__], env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) in {(0, backend) for backend in opengl._candidates()}


def test_it_takes_the_users_own_choice_untried(monkeypatch):
    monkeypatch.setenv(opengl.VARIABLE, "the user's own")
    assert opengl.find_opengl() == "the user's own"


def test_the_error_names_the_line_to_run_where_nothing_renders(monkeypatch):
    monkeypatch.delenv(opengl.VARIABLE, raising=False)
    monkeypatch.setattr(opengl, "_candidates", lambda: ("nonsense",))
    with pytest.raises(UserError, match="apt-get install -y libegl1") as raised:
        opengl.find_opengl()
    assert "nonsense: RuntimeError" in str(raised.value)
    assert opengl.VARIABLE not in os.environ


@pytest.mark.parametrize("backend", ["disabled", "nonsense"])
def test_pixels_with_a_backend_that_does_not_render_are_a_users_error(backend):
    code = (
        "from framework.environments.dm_control import DMControl\n"
        "from framework.errors import UserError\n"
        "try:\n"
        "    DMControl(task='cartpole_swingup', seed=0).reset()\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {opengl.VARIABLE: backend}, capture_output=True, text=True, check=True
    )
    assert f"MUJOCO_GL={backend}" in run.stdout
    assert "apt-get install" in run.stdout
