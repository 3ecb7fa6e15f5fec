import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from framework.tracking.jsonl import Jsonl, read
from framework.tracking.mlflow import MLflow
from framework.tracking.store import local_uri
from framework.tracking.writer import Writer


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def wait(release: threading.Event) -> None:
    release.wait(30)


def rename(folder: Path, old: str, new: str) -> None:
    with sqlite3.connect(folder / "mlflow.db", timeout=20) as connection:
        connection.execute(f"ALTER TABLE {old} RENAME TO {new}")


@pytest.fixture
def tracker(folder: Path) -> MLflow:
    return MLflow(uri=local_uri(folder), folder=folder, experiment="dream", name="run")


def test_calls_arrive_in_order_and_the_caller_never_waits(tmp_path: Path) -> None:
    writer = Writer(tracker=Jsonl(run_folder=tmp_path), name="mirror")
    longest = 0.0
    for step in range(2000):
        started = time.perf_counter()
        writer.metrics(step, {"a": 1.0})
        longest = max(longest, time.perf_counter() - started) if step % 100 else longest
    writer.close("FINISHED")
    assert [record["step"] for record in read(tmp_path) if record["kind"] == "metrics"] == list(range(2000))
    assert writer.undelivered == 0


def test_values_are_copied_when_they_are_recorded(tmp_path: Path) -> None:
    writer = Writer(tracker=Jsonl(run_folder=tmp_path), name="mirror")
    values = {"a": 1.0}
    writer.metrics(1, values)
    values["a"] = 2.0
    writer.close("FINISHED")
    assert next(read(tmp_path))["values"] == {"a": 1.0}


def test_a_store_that_fails_and_recovers_loses_nothing(
    folder: Path, client: Any, tracker: MLflow, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(tracker=tracker, name="MLflow", flush_seconds=0.05, longest_wait=0.6)
    rename(folder, "metrics", "gone")
    for step in range(50):
        writer.metrics(step, {"a": float(step)})
    wait_for(lambda: "tried again" in caplog.text)
    time.sleep(0.8)
    rename(folder, "gone", "metrics")
    wait_for(lambda: "works again" in caplog.text)
    writer.close("FINISHED")
    assert [point.step for point in client.get_metric_history(tracker.run_id, "a")] == list(range(50))
    assert (caplog.text.count("tried again"), writer.undelivered) == (1, 0)
    assert client.get_run(tracker.run_id).info.status == "FINISHED"


def test_events_for_a_store_that_stays_away_are_counted_at_the_end(folder: Path, tracker: MLflow, caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer(tracker=tracker, name="MLflow", flush_seconds=0.05)
    rename(folder, "metrics", "gone")
    for step in range(50):
        writer.metrics(step, {"a": 1.0})
    wait_for(lambda: "tried again" in caplog.text)
    writer.close("FINISHED")
    assert writer.undelivered == 50
    assert "MLflow: 50 records were not delivered" in caplog.text


def test_an_event_that_is_refused_is_dropped_counted_and_logged(
    client: Any, tracker: MLflow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(tracker=tracker, name="MLflow")
    writer.file(tmp_path / "missing.gin")
    writer.metrics(1, {"a": 1.0})
    writer.close("FINISHED")
    assert writer.undelivered == 1
    assert "missing.gin does not exist any more" in caplog.text
    assert len(client.get_metric_history(tracker.run_id, "a")) == 1


def test_closing_has_a_deadline(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer(tracker=Jsonl(run_folder=tmp_path), name="mirror", deadline=0.2)
    release = threading.Event()
    writer.put(partial(wait, release))
    started = time.monotonic()
    writer.close("FINISHED")
    assert time.monotonic() - started < 2
    assert "no answer within 0.2 s" in caplog.text
    release.set()


def test_calls_beyond_the_capacity_are_dropped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer(tracker=Jsonl(run_folder=tmp_path), name="mirror", capacity=5)
    release = threading.Event()
    writer.put(partial(wait, release))
    wait_for(lambda: writer._calls.qsize() == 0)
    for step in range(8):
        writer.metrics(step, {"a": 1.0})
    release.set()
    writer.close("FINISHED")
    assert writer.undelivered == 3
    assert "too many records waited" in caplog.text
