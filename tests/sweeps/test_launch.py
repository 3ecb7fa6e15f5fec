"""Processes of cells: they write into their log, and end when they are asked to or when what started them dies."""

import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from framework.sweeps.launch import OtherJob, RayJob, begin, run_in_task, start_here, stop_file
from framework.training.lock import LOCK
from tests.sweeps.test_local import wait_for

PROGRAM = """
import signal, sys, time
def stop(number, frame):
    print("stopped", flush=True)
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
print("begun", flush=True)
time.sleep(60)
"""
COMMAND = [sys.executable, "-c", PROGRAM]


def has_begun(log: Path) -> bool:
    return log.exists() and "begun" in log.read_text()


def test_a_process_of_this_machine_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    job = start_here(COMMAND, {}, tmp_path / "logs" / "a.log")
    wait_for(lambda: has_begun(tmp_path / "logs" / "a.log"))
    assert job.poll() is None
    job.stop()
    wait_for(lambda: job.poll() is not None)
    assert (job.poll(), (tmp_path / "logs" / "a.log").read_text()) == (130, "begun\nstopped\n")


def test_its_variables_are_added_to_those_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INHERITED", "1")
    program = "import os; print(os.environ['INHERITED'], os.environ['GIVEN'])"
    assert begin([sys.executable, "-c", program], {"GIVEN": "2"}, tmp_path / "a.log").wait(60) == 0
    assert (tmp_path / "a.log").read_text() == "1 2\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it goes on, and is waited for")
def test_a_process_checkpoints_and_ends_when_what_started_it_dies(tmp_path: Path) -> None:
    processes = []

    def start() -> None:
        processes.append(begin(COMMAND, {}, tmp_path / "a.log"))
        wait_for(lambda: has_begun(tmp_path / "a.log"))

    thread = threading.Thread(target=start)  # Linux takes the end of the thread for that of the parent
    thread.start()
    thread.join()
    assert processes[0].wait(60) == 130


def test_a_task_of_a_cluster_stops_at_its_stop_file(tmp_path: Path) -> None:
    log = tmp_path / "a.log"

    def stop() -> None:
        wait_for(lambda: has_begun(log))
        stop_file(log).touch()

    stopper = threading.Thread(target=stop)
    stopper.start()
    started = time.monotonic()
    assert run_in_task(COMMAND[1:], {}, log, Path.cwd()) == 130
    assert time.monotonic() - started < 50
    stopper.join()


def test_a_task_gives_the_signal_that_killed_its_process(tmp_path: Path) -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run_in_task(["-c", program], {}, tmp_path / "a.log", tmp_path / "nowhere") == -signal.SIGKILL


def test_a_run_that_another_process_trains_is_waited_for(tmp_path: Path) -> None:
    job, lock = OtherJob(tmp_path), FileLock(tmp_path / LOCK)
    with lock:
        assert job.poll() is None
    assert job.poll() == 0
    with lock:
        job.stop()
        assert job.poll() == 0, "it is left alone"


def test_a_task_in_the_queue_of_a_cluster_has_not_begun(tmp_path: Path) -> None:
    job = RayJob(task=None, log=tmp_path / "a.log")
    assert not job.has_begun
    begin([sys.executable, "-c", ""], {}, tmp_path / "a.log").wait(60)
    assert job.has_begun
