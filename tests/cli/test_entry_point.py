"""The entry point sets the environment up before torch is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.calls import ROOT, TINY, environment

PROGRAM = """
import os, sys
from framework.cli import main
sys.argv = ["dream", "--version"]
try:
    main()
except SystemExit:
    print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
"""


def test_a_task_of_a_module_in_the_working_directory_is_found(tmp_path: Path) -> None:
    (tmp_path / "task_here.py").write_text("raise SystemExit('found')\n")
    program = (
        "import sys; sys.path.remove(''); from framework.cli import main; sys.argv = ['dream']\ntry: main()\nfinally: import task_here"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert run.stderr.endswith("found\n")


def test_it_needs_no_home(tmp_path: Path) -> None:
    """As in a container that runs under a number without a name."""
    program = f"""
import os, pwd, sys
def unknown(number):
    raise KeyError(number)
pwd.getpwuid = unknown
from framework.cli import main
sys.argv = ["dream", "check", {str(TINY)!r}]
try: main()
finally: import mlflow
"""
    variables = {name: value for name, value in environment().items() if name != "HOME"}
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(("variables", "spin_count"), [({}, "0"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")])
def test_openmp_threads_do_not_spin_unless_the_user_says_so(variables: dict[str, str], spin_count: str) -> None:
    inherited = {name: value for name, value in environment().items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(command, cwd=ROOT, env=inherited | variables, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == f"{spin_count} False"
