"""Faults of the store, of the place of a run, and of what is read: recipes, files of a run, files of others; each a function of one try."""

import json
import os
import pickle
import random
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from fault_lab import Lab, Try

import framework
from framework import files
from framework.errors import UserError
from framework.tracking import jsonl, store
from framework.tracking.base import MetricsEvent
from framework.tracking.runs import read_run
from framework.training import checkpoints
from framework.training.manifest import Manifest, digest
from tests.fuzz import test_files, test_recipes
from tests.fuzz.limits import failures
from tests.tracking.starting import begin, recorded
from tests.tracking.starting import points as stored
from tests.training import test_trust

POINTS = 200
ODD = ["?", "#", "%20", "%", " ", "ü", "日", "'", '"', ";", "&", "=", "$(x)", "\\", "*", "[a]", "~", "."]
PATHS = ("/{outside}/x.py", "../x.py", "../../../../x.py", "a/../../x.py", "resolved.gin", "a\\x.py", "x.py\n", "x.pth")


class Server:
    """MLflow's server in a process of its own, which can be killed, stopped and started again."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.folder = lab, lab.folder / "server"
        self.folder.mkdir()
        shutil.copy(tables(lab), self.folder / "mlflow.db")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: BaseProcess | None = None
        self.start()

    def start(self) -> None:
        def serve() -> None:
            os.environ["_MLFLOW_SERVER_FILE_STORE"] = store.local_uri(self.folder)
            os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = "mlflow-artifacts:/"
            os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = str(self.folder / "artifacts")
            os.environ["_MLFLOW_SERVER_SERVE_ARTIFACTS"] = "true"
            from mlflow.server import app
            from werkzeug.serving import make_server

            make_server("127.0.0.1", self.port, app, threaded=True).serve_forever()

        self.process = self.lab.start(serve)
        while store.problem(self.uri):
            time.sleep(0.1)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)


def tables(lab: Lab) -> Path:
    """A database with MLflow's tables, to be copied."""
    path = lab.folder / "tables" / "mlflow.db"
    if not path.exists():
        path.parent.mkdir()

        def make() -> None:
            from framework.tracking.mlflow import MLflow

            MLflow(uri=store.local_uri(path.parent), experiment="tables", name="tables").close("FINISHED")

        lab.call(make)
    return path


def server_of(lab: Lab) -> Server:
    """The server of all tries, which was started again if it was killed."""
    if not hasattr(lab, "server"):
        lab.server = Server(lab)
    if not lab.server.process.is_alive():
        lab.server.start()
    return lab.server


def stop_server(lab: Lab) -> None:
    if hasattr(lab, "server"):
        lab.server.kill()


def disturbed(lab: Lab, how: str) -> Try:
    """The server is killed and started again, stopped, or its database locked, for seconds in the middle of a run that records points."""
    server, folder = server_of(lab), lab.folder / lab.new()
    over = folder.with_suffix(".over")

    def record() -> None:
        os.environ[store.TRACKING_URI] = server.uri
        with begin(folder) as tracker:
            for step in count():
                tracker.record(MetricsEvent(step, {"train/return": float(step)}))
                time.sleep(0.03)
                if step >= POINTS and over.exists():
                    break

    run = lab.start(record)
    while not list(folder.glob("*/metrics.jsonl")):
        time.sleep(0.05)
    time.sleep(lab.random.uniform(1, 5))
    seconds = lab.random.uniform(1, 6)
    if how == "killed":
        server.kill()
        time.sleep(seconds)
        server.start()
    elif how == "stopped":
        os.kill(server.process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(server.process.pid, signal.SIGCONT)
    else:
        connection = sqlite3.connect(server.folder / "mlflow.db", timeout=20, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.close()
    over.touch()
    run.join(120)
    return delivered(folder, server.uri)


def killed_in_an_outage(lab: Lab) -> Try:
    """The server is killed, the run goes on into its mirror and is killed too; then both are started again."""
    server, folder, last = server_of(lab), lab.folder / lab.new(), lab.random.randrange(60, POINTS)

    def record() -> None:
        os.environ[store.TRACKING_URI] = server.uri
        tracker = begin(folder)
        for step in range(last + 1):
            tracker.record(MetricsEvent(step, {"train/return": float(step)}))
            if step == 50:
                time.sleep(1)
                server.kill()
        tracker.trackers[1].wait(30.0)
        os.kill(os.getpid(), signal.SIGKILL)

    lab.call(record)
    server.process.join()
    server = server_of(lab)

    def go_on() -> None:
        os.environ[store.TRACKING_URI] = server.uri
        with begin(folder, next(folder.glob("*/run.json")).parent, resume_step=last) as tracker:
            for step in range(last + 1, POINTS):
                tracker.record(MetricsEvent(step, {"train/return": float(step)}))

    lab.call(go_on)
    return delivered(folder, server.uri)


def delivered(folder: Path, uri: str) -> Try:
    """The points in its mirror that the only run below a folder lacks in its store, or has there twice."""
    from mlflow import MlflowClient

    record = read_run(next(folder.glob("*/run.json")).parent)
    mirror = {line["step"] for line in jsonl.read(record.folder) if line["kind"] == "metrics"}
    steps = stored(MlflowClient(uri), record.id_in(uri)) if record.id_in(uri) else []
    twice, few = len(steps) - len(set(steps)), len(mirror) < POINTS
    return Try(points=len(mirror - set(steps)), wrong=f"{twice} points twice" if twice else "the mirror lacks points" * few)


def placed(lab: Lab, how: str) -> Try:
    """A run, with the store beside it, is moved, copied, or lies below a folder with an odd name; then it goes on."""
    odd = "".join(lab.random.sample(ODD, 4)) if how == "odd name" else ""
    folder = lab.folder / f"{lab.new()}{odd}" / "runs"
    folder.mkdir(parents=True)
    shutil.copy(tables(lab), folder / "mlflow.db")
    answer = lab.folder / "answer.json"

    def go() -> None:
        from mlflow import MlflowClient

        def in_store(home: Path, run_id: str | None) -> list[int]:
            return stored(MlflowClient(store.local_uri(home), registry_uri=store.local_uri(home)), run_id)

        first, home = recorded(folder, 0, 100), folder
        run_folder = first.run_folder
        if how == "moved":
            home = Path(shutil.move(folder, folder.with_name("moved")))
            run_folder = home / run_folder.name
        elif how == "copied":
            run_folder = shutil.copytree(run_folder, folder / "copy")
        again = recorded(home, 200, run_folder=run_folder, resume_step=100)
        wrong = ["the old place came back"] * (how == "moved" and folder.exists())
        if how == "copied" and (again.run_id == first.run_id or in_store(home, first.run_id) != [0, 100]):
            wrong.append("the original was touched")
        answer.write_text(json.dumps([in_store(home, again.run_id), wrong]))

    if lab.call(go):
        return Try(wrong=f"{how} {odd}: an error")
    steps, wrong = json.loads(answer.read_text())
    return Try(points=len({0, 100, 200} - set(steps)), wrong="; ".join(wrong + [f"points {steps}"] * (len(steps) > 3)))


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.marker),)


def planted(lab: Lab) -> Try:
    """A file of a checkpoint or of a policy holds a pickle that runs code, under a checksum that fits; then everything reads it."""
    folder = Path(shutil.copytree(lab.whole("serial")[0], lab.runs / f"{lab.new()}-planted"))
    places = [checkpoints.find(folder / "checkpoints", "latest"), next((folder / "policy").iterdir())]
    file = lab.random.choice([path for place in places for path in sorted(place.rglob("*.pt"))])
    place, marker = next(each for each in places if file.is_relative_to(each)), lab.folder / f"{lab.new()}-marker"
    file.unlink()  # which may be a hard link
    if lab.random.random() < 0.5:
        torch.save({"x": Bomb(marker)}, file)
    else:
        file.write_bytes(pickle.dumps({"x": Bomb(marker)}))
    manifest = Manifest.read(place)
    replace(manifest, sha256={**manifest.sha256, file.relative_to(place).as_posix(): digest(file)}).write(place)
    refused = 0
    for read in (
        lambda: files.load(file),
        lambda: framework.resume(str(folder), checkpoint=str(place)),
        lambda: framework.load_policy(str(place), device="cpu"),
        lambda: framework.picture(str(folder), "scores"),
    ):
        with suppress(UserError):
            read()
            refused -= 1
        refused += 1
    return Try(wrong="" if refused and not marker.exists() else f"{file.name} ran code")


def module_outside(lab: Lab) -> Try:
    """A policy names a module outside of its folder."""
    folder = lab.folder / lab.new()
    folder.mkdir()
    try:
        whole: Any = SimpleNamespace(folder=lab.whole("serial")[0])
        test_trust.test_a_policy_writes_no_file_outside_of_its_folder(whole, folder, lab.random.choice(PATHS))
    except BaseException as error:
        return Try(wrong=repr(error)[:100])
    return Try()


def mutated(lab: Lab, kind: str, inputs: int = 20) -> Try:
    """Mutated recipes and bindings, or damaged files of a run: each is taken, repaired or refused in a sentence, in seconds."""
    answer, first = lab.folder / "answer.json", lab.random.randrange(10**9)
    seeds = range(first, first + inputs)
    if kind == "files" and lab.find("fuzzed") is None:
        lab.call(lambda: lab.compose("serial", "fuzzed", "Evaluation.every=40").train())

    def read() -> None:
        random.seed(first)
        if kind == "recipes":
            folder = lab.folder / lab.new()
            folder.mkdir(exist_ok=True)
            each = test_recipes.inputs(seeds, folder, built=4)
        else:
            home = lab.find("fuzzed")
            assert home is not None
            each = test_files.inputs(seeds, home)
        answer.write_text(json.dumps(failures(each)))

    answer.unlink(missing_ok=True)
    lab.call(read)
    wrong = json.loads(answer.read_text()) if answer.exists() else ["the process died"]
    return Try(wrong="; ".join(wrong)[:300], remark=f"{inputs} inputs")


def digit_changed(lab: Lab) -> Try:
    """A digit of a number in `metrics.jsonl` becomes another."""
    folder = lab.whole("serial")[0]
    text = (folder / jsonl.MIRROR).read_text()
    places = [
        place for place, character in enumerate(text) if character.isdigit() and text.rfind("values", 0, place) > text.rfind("\n", 0, place)
    ]
    place = lab.random.choice(places)
    changed = text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]
    copy = Path(shutil.copytree(folder, lab.runs / f"{lab.new()}-changed"))
    (copy / jsonl.MIRROR).write_text(changed)
    kept = sum(1 for _ in jsonl.read(copy))
    return Try(wrong="unnoticed" if kept == len(text.splitlines()) else "")
