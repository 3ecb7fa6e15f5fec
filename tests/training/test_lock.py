"""One process at a time trains a run."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import framework
from framework.errors import UserError
from framework.training.lock import run_lock

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


def test_a_lock_whose_process_was_killed_is_taken_over(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        started = time.monotonic()
        with run_lock(tmp_path):
            assert time.monotonic() - started < 1


def test_a_lock_is_released_at_the_end(tmp_path: Path) -> None:
    for _ in range(2):
        with run_lock(tmp_path):
            pass
