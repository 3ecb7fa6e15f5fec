"""What a run recorded reaches its store, whatever happened in between."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framework.errors import UserError
from framework.tracking import store
from framework.tracking.artifacts import FOLDER
from framework.tracking.base import MetricsEvent, PictureEvent, PolicyEvent, VideoEvent
from framework.tracking.jsonl import Jsonl
from framework.tracking.mlflow import PARENT, MLflow
from framework.tracking.mlflow_store import open_store
from framework.tracking.runs import read_run
from framework.tracking.sync import send_missing, sync
from framework.tracking.writer import Writer
from tests.members import ROOT
from tests.tracking.starting import begin, points, recorded, wait_for

IMAGE = np.zeros((8, 8, 3), np.uint8)
VIDEO = np.zeros((3, 16, 16, 3), np.uint8)
OUTAGE = """
import sys, time
from pathlib import Path
from framework.tracking.artifacts import FOLDER
from framework.tracking.base import MetricsEvent
from tests.tracking.starting import begin
tracker = begin(Path(sys.argv[1]))
for step in range(100):
    if step == 50:
        print(tracker.run_folder, flush=True)
        input()
    tracker.record(MetricsEvent(step, {"train/return": float(step)}))
tracker.trackers[1].wait(30.0)
print("mirrored", flush=True)
time.sleep(60)
"""
CREATION = """
import sys
from pathlib import Path
from framework.tracking import mlflow_store, store
mlflow_store.open_store(store.local_uri(Path(sys.argv[1])))
"""


def child(program: str, *arguments: object) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], env=os.environ | {"PYTHONPATH": str(ROOT)}, **pipes)


def artifacts(client: Any, run_id: str | None, folder: str) -> list[str]:
    return [Path(item.path).name for item in client.list_artifacts(run_id, folder) if not item.path.endswith(".webp")]


def test_a_resume_sends_what_an_outage_kept_from_the_store_when_a_kill_followed(
    server: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.TRACKING_URI, server.uri)
    with child(OUTAGE, folder) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        run_folder = Path(process.stdout.readline().strip())
        run_id = read_run(run_folder).run_id
        wait_for(lambda: points(server.client(), run_id) == list(range(50)))
        server.stop()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "mirrored\n"
        process.send_signal(signal.SIGKILL)
    server.start()
    assert points(server.client(), run_id) == list(range(50))
    with begin(folder, run_folder, resume_step=90) as tracker:
        tracker.record(MetricsEvent(91, {"train/return": 1.0}))
    assert tracker.run_id == run_id
    assert points(server.client(), run_id) == list(range(92))


def test_an_artifact_that_cannot_be_stored_holds_nothing_up_and_is_sent_by_a_sync(
    folder: Path, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / FOLDER).write_text("in the way\n")
    tracker = begin(folder)
    for step in range(20):
        tracker.record(PictureEvent("model/picture", step, IMAGE))
        tracker.record(MetricsEvent(step, {"train/return": 1.0}))
    started = time.monotonic()
    tracker.close("KILLED")
    assert time.monotonic() - started < 10
    assert points(client, tracker.run_id) == list(range(20))
    assert caplog.text.count("an artifact cannot be stored (") == 2, "once when it is refused, and once in the end"
    assert "MLflow: 20 records were not delivered (an artifact" in caplog.text
    assert f"`dream sync {tracker.run_folder.name}` sends" in caplog.text
    (folder / FOLDER).unlink()
    assert sync(read_run(tracker.run_folder))[1] == 0
    assert sync(read_run(tracker.run_folder))[1] == 0
    assert len(artifacts(client, tracker.run_id, "images")) == 20
    assert points(client, tracker.run_id) == list(range(20))
    assert client.get_run(tracker.run_id).info.status == "KILLED"


def test_a_store_whose_creation_was_killed_is_made_by_the_next_run(tmp_path: Path) -> None:
    database, aside = tmp_path / "mlflow.db", tmp_path / ".mlflow.db.creating"
    with child(CREATION, tmp_path) as process:
        while process.poll() is None and not (aside.exists() and aside.stat().st_size):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert aside.exists()
    assert not database.exists()
    assert open_store(store.local_uri(tmp_path)).search_experiments()[0].name == "Default"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


def test_records_beyond_the_capacity_are_delivered_from_the_mirror(folder: Path, client: Any, tmp_path: Path) -> None:
    mlflow = MLflow(uri=store.local_uri(folder), experiment="dream", name="run")
    mirror = Writer(tracker=Jsonl(run_folder=tmp_path), name="mirror")
    catch_up = partial(send_missing, tmp_path, mlflow, written=partial(mirror.wait, 10.0))
    writer = Writer(tracker=mlflow, name="MLflow", catch_up=catch_up, capacity=5, flush_seconds=0.05, longest_wait=0.5)
    with closing(sqlite3.connect(folder / "mlflow.db", timeout=20)) as connection, connection:
        connection.execute("BEGIN EXCLUSIVE")
        for step in range(40):
            for each in (mirror, writer):
                each.record(MetricsEvent(step, {"train/return": 1.0}, time=float(step)))
        time.sleep(0.3)
    assert writer.undelivered >= 34
    wait_for(lambda: writer.undelivered == 0, seconds=20)
    for each in (mirror, writer):
        each.record(MetricsEvent(40, {"train/return": 1.0}))
    for each in (mirror, writer):
        each.close("FINISHED")
    assert writer.undelivered == 0
    assert points(client, writer.run_id) == list(range(41))


def test_a_sync_sends_a_whole_run_once_with_its_times_and_status(tables: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    (folder / "mlflow.db").mkdir(parents=True)  # which is no database
    run_folder = folder / "run"
    run_folder.mkdir()
    (run_folder / "resolved.gin").write_text("a = 1\n")
    tracker = begin(folder, run_folder, files=[run_folder / "resolved.gin"])
    for step in (10, 20):
        tracker.record(MetricsEvent(step, {"train/return": 1.0}, time=1_000.0 + step))
    tracker.record(PictureEvent("model/picture", 10, IMAGE))
    tracker.record(VideoEvent("evaluation", 10, VIDEO, 20.0))
    (run_folder / "policy").mkdir()
    observation, action = {"image": np.zeros((2, 16, 16, 3), np.uint8)}, np.ones((2, 1), np.float32)
    tracker.record(PolicyEvent(run_folder / "policy", 20, ["numpy"], observation, action, ["best"]))
    tracker.close("FAILED")
    (tmp_path / "secret.txt").write_text("outside of the run")
    with (run_folder / "metrics.jsonl").open("a") as mirror:
        mirror.write('{"time": 1.0, "kind": "file", "path": "../../secret.txt", "folder": "recipe"}\n')
        mirror.write('{"time": 2000.0, "kind": "close", "status": "FAILED"}\n')
    (folder / "mlflow.db").rmdir()
    (folder / "mlflow.db").write_bytes(tables.read_bytes())
    record, refused = sync(read_run(run_folder))
    client = open_store(store.local_uri(folder))
    info = client.get_run(record.run_id).info
    for _ in range(2):
        assert read_run(run_folder).run_id == record.run_id
        run = client.get_run(record.run_id)
        assert (refused, run.info.status, run.data.params, run.data.tags["seed"]) == (1, "FAILED", {"Adam.rate": "1"}, "1")
        assert (run.info.start_time, run.info.end_time) == (info.start_time, info.end_time)
        assert [(p.step, p.timestamp) for p in client.get_metric_history(record.run_id, "train/return")] == [(10, 1010000), (20, 1020000)]
        assert artifacts(client, record.run_id, "recipe") == ["resolved.gin"]
        assert artifacts(client, record.run_id, "video") == ["evaluation-10.mp4"]
        assert len(artifacts(client, record.run_id, "images")) == 1
        assert not [name for name in run.data.metrics if name.startswith("system/")]
        assert len(client.search_model_versions(f"run_id = '{record.run_id}'")) == 1
        assert client.get_model_version_by_alias("run", "best").run_id == record.run_id
        record, refused = sync(read_run(run_folder))
    assert info.start_time == pytest.approx(1000 * datetime.fromisoformat(record.started).timestamp(), abs=1)
    assert info.end_time == 2_000_000


def test_a_resume_whose_settings_contradict_stored_points_goes_on_below_the_run(
    folder: Path, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    first = recorded(folder, 0, 100, 200)
    same = recorded(folder, 200, run_folder=first.run_folder, resume_step=100)
    child = recorded(folder, 150, run_folder=first.run_folder, resume_step=100, rate=2)
    again = recorded(folder, 200, run_folder=first.run_folder, resume_step=150, rate=2)
    changed = recorded(folder, 300, run_folder=first.run_folder, resume_step=200, rate=1)
    assert same.run_id == first.run_id != child.run_id == again.run_id == changed.run_id
    assert not any("contradicted" in client.get_run(tracker.run_id).data.tags for tracker in (first, child))
    assert client.get_run(child.run_id).data.tags[PARENT] == first.run_id
    assert client.get_run(child.run_id).data.params == {"Adam.rate": "1"}, "with which its first points were made"
    assert client.get_run(child.run_id).data.tags["changed.Adam.rate"] == "1"
    assert points(client, first.run_id) == [0, 100, 200]
    assert points(client, child.run_id) == [0, 100, 150, 200, 300]
    assert "that has points after step 100 of other settings (Adam.rate)" in caplog.text


def test_a_sync_is_refused_in_a_sentence_where_the_store_cannot_be_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = read_run(recorded(folder, 0).run_folder)
    for uri, sentence in (
        ("http://127.0.0.1:9", r"The tracking server http://127.0.0.1:9 does not answer \(.*refused.*\): start it"),
        ("postgresql://ann:hush@127.0.0.1:9/agents", r"^postgresql://\*\*\*@127.0.0.1:9/agents does not take the run \((?!.*hush)"),
    ):
        monkeypatch.setenv(store.TRACKING_URI, uri)
        with pytest.raises(UserError, match=sentence):
            sync(record)


def test_a_sync_of_a_copy_leaves_the_run_of_the_original_alone(folder: Path, client: Any) -> None:
    first = recorded(folder, 0, 100)
    copied = shutil.copytree(first.run_folder, folder / "copy")
    record, _ = sync(read_run(copied))
    assert record.run_id != first.run_id
    assert client.get_run(record.run_id).data.tags[PARENT] == first.run_id
    assert points(client, record.run_id) == [0, 100]
