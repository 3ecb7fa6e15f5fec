import os
import subprocess
import sys

import pytest

from framework.environments import opengl
from framework.errors import UserError


def test_it_prints_the_users_own_choice_untried():
    variables = os.environ | {opengl.VARIABLE: "the user's own"}
    run = subprocess.run([sys.executable, "-m", opengl.__name__], env=variables, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "the user's own"


def test_the_error_names_the_line_to_run_where_nothing_renders(monkeypatch):
    monkeypatch.delenv(opengl.VARIABLE, raising=False)
    monkeypatch.setattr(opengl, "_candidates", lambda: ("nonsense",))
    with pytest.raises(UserError, match="apt-get install -y libegl1") as raised:
        opengl.find_opengl()
    assert "nonsense: RuntimeError" in str(raised.value)
    assert opengl.VARIABLE not in os.environ


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({opengl.VARIABLE: "disabled"}, "apt-get install"),
        ({opengl.PLATFORM: "glx"}, "run `unset PYOPENGL_PLATFORM`, which is 'glx'."),
        ({opengl.PLATFORM: "glx", opengl.VARIABLE: "egl"}, "run `unset PYOPENGL_PLATFORM`, which is 'glx'."),
    ],
)
def test_what_does_not_render_has_the_same_remedy_in_the_doctors_trial_and_at_the_first_image(variables, words, monkeypatch):
    for name in (opengl.VARIABLE, opengl.PLATFORM):
        monkeypatch.setenv(name, variables.get(name, ""))
    with pytest.raises(UserError) as raised:
        opengl.try_opengl()
    code = "from framework.environments.dm_control import DMControl\nDMControl(task='cartpole_swingup', seed=0).reset()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "framework.errors.UserError" in run.stderr
    assert all(words in message for message in (str(raised.value), run.stderr))


def test_the_first_image_finds_a_renderer_where_dm_control_was_imported_before():
    code = (
        "from dm_control import suite\nfrom framework.environments.dm_control import DMControl\n"
        "print(DMControl(task='cartpole_swingup', seed=0).reset().observation['pixels'].any())"
    )
    variables = {name: value for name, value in os.environ.items() if name not in (opengl.VARIABLE, "PYOPENGL_PLATFORM")}
    run = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True"]


def test_specs_need_no_renderer_and_the_first_image_finds_one():
    """In a whole process without a choice; the import of dm_control leaves the choice open."""
    code = (
        "import os\nfrom framework.environments.dm_control import DMControl\n"
        "environment = DMControl(task='walker_walk', seed=0, observe='both')\n"
        "print(environment.observation_spec()['pixels'].shape, environment.action_spec().shape, 'MUJOCO_GL' in os.environ)\n"
        "print(environment.reset().observation['pixels'].any(), os.environ['MUJOCO_GL'])"
    )
    variables = {name: value for name, value in os.environ.items() if name not in (opengl.VARIABLE, "PYOPENGL_PLATFORM")}
    run = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    specs, rendered = run.stdout.splitlines()
    assert specs == "(64, 64, 3) (6,) False"
    assert rendered in {f"True {backend}" for backend in opengl._candidates()}
