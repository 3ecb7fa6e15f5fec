"""A soak: a small run for hours, tracked by a real server, with a fault every minute.

python docs/results/reliability/soak.py --minutes 180                     # in one sitting
python docs/results/reliability/soak.py --minutes 60 --folder /tmp/soak   # goes on where another sitting in that folder ended
python docs/results/reliability/soak.py --minutes 0 --folder /tmp/soak    # only reads the record again

Writes `soak.json`, `soak.png` and a part of `README.md`. An interrupt (Ctrl-C) ends a sitting early. `soak_record.py` says what is asked
of the record.
"""

import argparse
import csv
import itertools
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import soak_record
from soak_record import FIELDS, Fault

HERE = Path(__file__).resolve().parent
SAMPLE_SECONDS = 5.0
MLFLOW = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
DREAM = [sys.executable, "-m", "framework"]
ENVIRONMENT = ("raise", "worker killed", "hang", "nan", "shape")
TRACKING = ("server killed", "server stopped", "database locked", "artifacts refused")
ENDS = ("SIGTERM", "SIGKILL", "SIGHUP", "SIGKILL without a server", "SIGINT")
START_SECONDS = 30.0
"""No fault before a life has lasted that long."""
QUIET_SECONDS = 120.0
"""No fault before the end of a sitting, so that what waits for the server is sent."""
LIFE = 21
"""Every so many faults one ends the trainer."""


class Soak:
    """The server, the trainer, and what was done to them."""

    def __init__(self, folder: Path, fault_seconds: float) -> None:
        self.folder, self.fault_seconds = folder, fault_seconds
        folder.mkdir(parents=True, exist_ok=True)
        self.runs, self.fault_file, self.artifacts = folder / "runs", folder / "fault", folder / "artifacts"
        self.port = int(_kept(folder / "port", str(_free_port())))
        _kept(folder / "commit", subprocess.run(["git", "-C", str(HERE), "rev-parse", "HEAD"], capture_output=True, text=True).stdout)
        self.faults = soak_record.faults(folder)
        self.life = max((fault.life for fault in self.faults), default=0)
        self.undo: list[tuple[float, Callable[[], None]]] = []
        self.server: subprocess.Popen[bytes] | None = None
        self.trainer: psutil.Popen | None = None
        self.born = 0.0

    def run(self, minutes: float, stopped: Callable[[], bool]) -> None:
        """One sitting."""
        self.start_server()
        self.start_trainer()
        end, next_sample, next_fault = time.time() + 60 * minutes, time.time(), time.time() + self.fault_seconds
        while time.time() < end and not stopped():
            for due in [each for each in self.undo if each[0] <= time.time()]:
                self.undo.remove(due)
                due[1]()
            if self.trainer.poll() is not None:
                self.note("the trainer ended by itself", f"exit status {self.trainer.returncode}")
                self.start_trainer()
            if time.time() >= next_sample:
                self.sample()
                next_sample = time.time() + SAMPLE_SECONDS
            if time.time() >= next_fault:
                next_fault += self.fault_seconds
                if time.time() - self.born > START_SECONDS and end - time.time() > QUIET_SECONDS:
                    self.disturb()
            time.sleep(0.2)
        for _, undo in self.undo:
            undo()
        self.wait_for_server()
        self.end_trainer("SIGTERM", "the end of the sitting")

    def start_server(self) -> None:
        log = (self.folder / "server.log").open("ab")
        store = ["--port", str(self.port), "--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        self.server = subprocess.Popen(
            [*MLFLOW, *store, "--artifacts-destination", str(self.artifacts)],
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def wait_for_server(self) -> None:
        for _ in range(240):
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return
            time.sleep(0.5)
        raise RuntimeError("the server does not answer")

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def signal_server(self, number: signal.Signals) -> None:
        os.killpg(self.server.pid, number)
        if number == signal.SIGKILL:
            self.server.wait()

    def start_trainer(self) -> None:
        """Begin the run, or resume it, with a server that answers."""
        self.wait_for_server()
        self.life, self.born = self.life + 1, time.time()
        known = soak_record.run_folder(self.folder)
        place = ["resume", str(known)] if known else ["train", str(HERE / "soak.gin"), "-b", f"Tracking.folder='{self.runs}'"]
        environment = os.environ | {"MLFLOW_TRACKING_URI": self.uri, "FAULT": str(self.fault_file), "OMP_NUM_THREADS": "1"}
        log = (self.folder / "trainer.log").open("ab")
        log.write(f"\n===== life {self.life}, {time.ctime()}\n".encode())
        log.flush()
        self.trainer = psutil.Popen([*DREAM, *place], stdout=log, stderr=log, env=environment, start_new_session=True, cwd=self.folder)

    def sample(self) -> None:
        """Add a line to the record: memory of the trainer and of its processes together, descriptors, processes, threads."""
        with suppress(psutil.Error):
            tree = [self.trainer, *self.trainer.children(recursive=True)]
            pss = sum(process.memory_full_info().pss for process in tree)
            counts = (self.trainer.num_fds(), len(tree), self.trainer.num_threads())
            row = (f"{time.time():.1f}", self.life, self.trainer.memory_info().rss, pss, *counts)
            path = self.folder / "record.csv"
            first = not path.exists()
            with path.open("a", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerows([FIELDS, row] if first else [row])

    def disturb(self) -> None:
        """The next fault in turn: each environment fault and each fault of the tracking, and now and then an end of the trainer."""
        count = sum(fault.kind in (*ENVIRONMENT, *TRACKING, *ENDS) for fault in self.faults) + 1
        ends, others = divmod(count, LIFE)
        if others == 0:
            self.end_trainer(ENDS[(ends - 1) % len(ENDS)])
            self.start_trainer()
            return
        kinds = [kind for pair in itertools.zip_longest(ENVIRONMENT, TRACKING) for kind in pair if kind]
        kind = kinds[(count - ends) % len(kinds)]
        if kind == "worker killed":
            workers = [process for process in self.trainer.children() if "framework.environments.worker" in process.cmdline()]
            if workers:
                workers[count % len(workers)].kill()
            self.note(kind, f"of {len(workers)}")
        elif kind in ENVIRONMENT:
            self.ask_environment(kind)
        else:
            self.disturb_tracking(kind)

    def ask_environment(self, how: str) -> None:
        """Let an environment fail; one that is asked for no longer than a minute, since no step may be taken for seconds."""
        self.fault_file.write_text(how)
        end = time.time() + 60
        while self.fault_file.exists() and time.time() < end:
            time.sleep(0.02)
        taken = not self.fault_file.exists()
        self.fault_file.unlink(missing_ok=True)
        self.note(how, "taken" if taken else "not taken")

    def disturb_tracking(self, kind: str) -> None:
        seconds = min(
            {"server killed": 15.0, "server stopped": 30.0, "database locked": 20.0, "artifacts refused": 40.0}[kind],
            self.fault_seconds / 2,
        )
        self.note(kind, f"{seconds:g} s")
        if kind == "server killed":
            self.signal_server(signal.SIGKILL)
            self.later(seconds, self.start_server)
        elif kind == "server stopped":
            self.signal_server(signal.SIGSTOP)
            self.later(seconds, lambda: self.signal_server(signal.SIGCONT))
        elif kind == "database locked":
            connection = sqlite3.connect(self.folder / "server.db", timeout=30, isolation_level=None, check_same_thread=False)
            connection.execute("BEGIN EXCLUSIVE")
            self.later(seconds, connection.close)
        else:
            aside = self.artifacts.with_name("artifacts.aside")
            self.artifacts.mkdir(exist_ok=True)
            self.artifacts.rename(aside)
            self.artifacts.write_text("in the way\n")
            self.later(seconds, lambda: (self.artifacts.unlink(), aside.rename(self.artifacts)))

    def end_trainer(self, kind: str, why: str = "") -> None:
        """End the trainer by a signal, and note how long that took, and which of its processes were still there two seconds later."""
        if kind == "SIGKILL without a server":
            self.signal_server(signal.SIGKILL)
            time.sleep(min(15.0, self.fault_seconds / 2))
        processes = self.trainer.children(recursive=True)
        started = time.time()
        self.trainer.send_signal(getattr(signal, kind.split()[0]))
        with suppress(psutil.TimeoutExpired):
            self.trainer.wait(120)
        seconds = time.time() - started
        _, orphans = psutil.wait_procs(processes, timeout=2)
        status = self.trainer.poll()
        for process in [self.trainer, *orphans] if status is None else orphans:
            with suppress(psutil.Error):
                process.kill()
        self.note(kind, why, seconds=seconds, status=status, orphans=len(orphans))
        if kind == "SIGKILL without a server":
            self.start_server()

    def later(self, seconds: float, undo: Callable[[], None]) -> None:
        self.undo.append((time.time() + seconds, undo))

    def note(self, kind: str, detail: str = "", **outcome: float | None) -> None:
        fault = Fault(time.time(), self.life, kind, detail, outcome)
        self.faults.append(fault)
        soak_record.add(self.folder, fault)


def _kept(path: Path, value: str) -> str:
    """The text of a file, which gets this value if there is none."""
    if not path.exists():
        path.write_text(value)
    return path.read_text()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=180.0)
    parser.add_argument("--fault-seconds", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, default=Path("soak"), help="the run, the server's store and the record; it is kept")
    arguments = parser.parse_args()
    requested: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: requested.append(number))
    soak = Soak(arguments.folder.resolve(), arguments.fault_seconds)
    try:
        if arguments.minutes:
            soak.run(arguments.minutes, lambda: bool(requested))
        else:
            soak.start_server()
            soak.wait_for_server()
        before = soak_record.delivery(soak.folder, soak.uri)
        run = soak_record.run_folder(soak.folder)
        subprocess.run([*DREAM, "sync", str(run)], env=os.environ | {"MLFLOW_TRACKING_URI": soak.uri}, cwd=soak.folder)
        delivered = {"as the run left it": before, "after `dream sync`": soak_record.delivery(soak.folder, soak.uri)}
        soak_record.summarize(soak.folder, delivered, HERE)
    finally:
        if soak.trainer and soak.trainer.poll() is None:
            soak.trainer.kill()
        if soak.server:
            soak.signal_server(signal.SIGKILL)


if __name__ == "__main__":
    main()
