"""`dream ui`: MLflow's server in a few processes, none of which outlives the command."""

import re
import shlex
import shutil
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

from framework.tracking.runs import open_run
from tests.cli.calls import Call, environment

SLEEPING = "from framework.cli.ui import serve; serve(['sh', '-c', 'sleep 60 & sleep 60'])"


def test_ui_serves_the_store_of_the_runs_on_this_machine_alone(
    trained: tuple[Path, Result], after: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = shlex.split(after("ui", "--port", 5123, "--print").stdout)
    assert command[:4] == [sys.executable, "-m", "mlflow", "ui"]
    assert f"sqlite:///{trained[0]}/runs/mlflow.db" in command
    options = ("--host", "--port", "--workers", "--artifacts-destination")
    assert [command[command.index(option) + 1] for option in options] == ["127.0.0.1", "5123", "1", f"{trained[0]}/runs/mlartifacts"]
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
def test_the_runs_of_a_copied_folder_are_served_by_two_processes_that_end_with_the_command(
    trained: tuple[Path, Result], tmp_path: Path
) -> None:
    copied = shutil.copytree(trained[0], tmp_path / "copied")
    run_id = open_run("latest", copied / "runs").run_id
    (copied / "runs" / "mlartifacts" / f"{run_id}" / "artifacts" / "note.txt").write_text("of the copy")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "framework", "ui", "--port", str(port)]
    with subprocess.Popen(command, cwd=copied, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        table = re.fullmatch(r"The runs are at (http://127.0.0.1:\d+)/#/experiments/\d+/runs in some seconds; Ctrl-C ends it.\n", line)
        assert table
        assert answering(table[1])
        assert urllib.request.urlopen(f"{table[1]}/get-artifact?run_uuid={run_id}&path=note.txt").read() == b"of the copy"
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
