"""Signals that end a run: nothing that was learned is lost, nothing is left running, and it takes seconds."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.cli.calls import ROOT, bound, environment, without_store

FAULTY = ROOT / "tests" / "training" / "faulty.gin"
WORKERS = ("Run.environments=2", "Replay.length=4")
SECONDS = 20
"""On a machine that tests something else too; alone it takes at most 10."""


@contextmanager
def training(folder: Path, *bindings: str, until: str) -> Iterator[subprocess.Popen[str]]:
    """A run in a process group of its own, which has printed a line."""
    without_store(folder)
    endless = ("Trainer.steps=1000000", "Tracking.console_seconds=0.0", "Run.log_every=1", "Evaluation.every=1000000", *bindings)
    command = [sys.executable, "-m", "framework", "train", str(FAULTY), *bound(*endless)]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        if not any(line.startswith(until) for line in process.stdout):
            raise AssertionError(process.communicate()[1])
        time.sleep(0.5)
        try:
            yield process
        finally:
            process.kill()


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize(
    ("number", "bindings", "until"),
    [
        pytest.param(signal.SIGTERM, (*WORKERS, "Faulty.how='raise'", "Faulty.episodes=()"), "step=80 ", id="training in workers"),
        pytest.param(
            signal.SIGHUP, ("Faulty.how='endless'", "Evaluation.every=40", "Evaluation.max_steps=1000000000"), "step=40 ", id="evaluation"
        ),
        pytest.param(signal.SIGINT, (*WORKERS, "Faulty.how='freeze'", "Faulty.episodes=(5,)"), "step=106 ", id="a worker that hangs"),
        pytest.param(signal.SIGTERM, ("Faulty.how='hang'", "Faulty.episodes=(5,)"), "step=53 ", id="an environment that hangs"),
    ],
)
def test_a_signal_to_all_processes_ends_a_run_within_seconds_with_a_checkpoint(
    tmp_path: Path, number: signal.Signals, bindings: tuple[str, ...], until: str
) -> None:
    with training(tmp_path, *bindings, until=until) as process:
        workers, started = workers_of(process), time.monotonic()
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
        assert time.monotonic() - started < SECONDS
    assert process.returncode == 130, errors
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    assert errors.splitlines()[-1] == f"Stopped by {name}; nothing that was learned is lost."
    assert psutil.wait_procs(workers, timeout=1)[1] == []
    (mirror,) = tmp_path.glob("runs/faulty-*/metrics.jsonl")
    assert '"status": "KILLED"' in mirror.read_text().splitlines()[-1]
    reached = int(until.strip().removeprefix("step="))
    assert max(int(path.name.split("-")[1]) for path in mirror.parent.glob("checkpoints/step-*")) >= reached


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker ends with its next answer")
def test_no_worker_outlives_a_trainer_that_is_killed_whatever_it_does(tmp_path: Path) -> None:
    with training(tmp_path, *WORKERS, "Faulty.how='freeze'", until="step=46 ") as process:
        workers = workers_of(process)
        assert len(workers) == 2
        process.kill()
        assert psutil.wait_procs(workers, timeout=5)[1] == []
