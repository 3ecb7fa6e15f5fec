"""One process at a time trains a run."""

import subprocess
import sys
from pathlib import Path

import pytest

import framework
from framework.errors import UserError

HOLD = """
import sys, time
from pathlib import Path
from framework.training.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_resume_of_a_run_that_another_process_trains_is_refused_and_names_it(copy: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(copy)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        before = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
        with pytest.raises(UserError, match=rf"is being trained by process {process.pid} on .+; stop that process"):
            framework.resume(str(copy), ["Trainer.steps=120"])
        assert before == {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
        process.kill()
