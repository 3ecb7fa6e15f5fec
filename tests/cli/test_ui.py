"""`dream ui`: MLflow's server in a few processes, none of which outlives the command."""

import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from click.testing import Result

from tests.cli.calls import Call, environment

SLEEPING = "from framework.cli.ui import serve; serve(['sh', '-c', 'sleep 60 & sleep 60'])"


def test_ui_serves_the_store_of_the_runs_on_this_machine_alone(
    trained: tuple[Path, Result], after: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = shlex.split(after("ui", "--port", 5123, "--print").stdout)
    assert command[:4] == [sys.executable, "-m", "mlflow", "ui"]
    assert f"sqlite:///{trained[0]}/runs/mlflow.db" in command
    assert [command[command.index(option) + 1] for option in ("--host", "--port", "--workers")] == ["127.0.0.1", "5123", "1"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere:5000")
    assert "a server that has pages of its own: http://somewhere:5000" in after("ui").stdout


def test_ui_without_any_run_says_to_train_first(call: Call) -> None:
    result = call("ui")
    assert result.exit_code == 2
    assert "start a run with `dream train`" in result.stderr


def test_a_port_that_is_taken_is_refused(after: Call) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        result = after("ui", "--port", other.getsockname()[1])
    assert result.exit_code == 2
    assert "cannot be used" in result.stderr


def answering(url: str, seconds: float = 120.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return bool(urllib.request.urlopen(f"{url}/health", timeout=5).status == 200)
        except OSError:
            time.sleep(0.2)
    return False


@pytest.mark.nightly
def test_the_table_of_runs_is_served_by_two_processes_that_end_with_the_command(trained: tuple[Path, Result]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "framework", "ui", "--port", str(port)]
    with subprocess.Popen(
        command, cwd=trained[0], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        table = re.fullmatch(r"The runs are at (http://127.0.0.1:\d+)/#/experiments/\d+/runs in some seconds; Ctrl-C ends it.\n", line)
        assert table
        assert answering(table[1])
        children = psutil.Process(process.pid).children(recursive=True)
        assert sum(child.name().startswith("python") for child in children) <= 2
        process.send_signal(signal.SIGTERM)
    assert psutil.wait_procs(children, timeout=30)[1] == []


NIGHTLY = [pytest.param(number, marks=pytest.mark.nightly) for number in (signal.SIGINT, signal.SIGHUP)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, *NIGHTLY])
def test_no_process_of_the_server_outlives_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLEEPING], cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while len(sleepers := sleeping(process.pid)) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(number)
    process.wait()
    assert len(sleepers) == 2
    assert psutil.wait_procs(sleepers, timeout=10)[1] == []


def sleeping(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children(recursive=True) if child.name() == "sleep"]
