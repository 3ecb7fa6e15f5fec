"""The thread between training and a tracker: nothing waits for it, nothing is lost or sent twice."""

import sqlite3
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from framework.tracking.base import FileEvent, MetricsEvent
from framework.tracking.jsonl import Jsonl, read
from framework.tracking.mlflow import MLflow
from framework.tracking.store import local_uri
from framework.tracking.writer import Writer
from tests.tracking.starting import wait_for


@pytest.fixture
def writer(folder: Path) -> Writer:
    """Writes into a real store."""
    tracker = MLflow(uri=local_uri(folder), experiment="dream", name="run")
    return Writer(tracker=tracker, name="MLflow", flush_seconds=0.05, longest_wait=0.6)


def test_calls_arrive_in_order_and_the_caller_never_waits(tmp_path: Path) -> None:
    writer, release = Writer(tracker=Jsonl(run_folder=tmp_path), name="mirror"), threading.Event()
    writer.put(partial(release.wait, 30))
    for step in range(2000):
        writer.record(MetricsEvent(step, {"a": float(step)}))
    release.set()
    writer.close("FINISHED")
    assert [(record["step"], record["values"]["a"]) for record in read(tmp_path) if record["kind"] == "metrics"] == [
        (step, step) for step in range(2000)
    ]
    assert writer.undelivered == 0


def test_events_for_a_store_that_stays_away_are_counted_at_the_end(folder: Path, writer: Writer, caplog: pytest.LogCaptureFixture) -> None:
    with sqlite3.connect(folder / "mlflow.db", timeout=20) as connection:
        connection.execute("ALTER TABLE metrics RENAME TO gone")  # the store accepts no metric
    for step in range(50):
        writer.record(MetricsEvent(step, {"a": 1.0}))
    wait_for(lambda: "tried again" in caplog.text)
    writer.close("FINISHED")
    assert writer.undelivered == 50
    assert "MLflow: 50 records were not delivered" in caplog.text


def test_an_event_that_is_refused_is_dropped_counted_and_logged(
    client: Any, writer: Writer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer.record(FileEvent(tmp_path / "missing.gin"))
    writer.record(MetricsEvent(1, {"a": 1.0}))
    writer.close("FINISHED")
    assert writer.undelivered == 1
    assert "missing.gin" in caplog.text
    assert len(client.get_metric_history(writer.run_id, "a")) == 1


def test_calls_beyond_the_capacity_are_dropped_and_closing_has_a_deadline(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer, release = Writer(tracker=Jsonl(run_folder=tmp_path), name="mirror", capacity=5, deadline=0.2), threading.Event()
    writer.put(partial(release.wait, 30))
    wait_for(lambda: writer._calls.qsize() == 0)
    for step in range(8):
        writer.record(MetricsEvent(step, {"a": 1.0}))
    assert writer.last_error == "too many records waited"
    started = time.monotonic()
    writer.close("FINISHED")
    assert time.monotonic() - started < 2
    assert "mirror: 9 records were not delivered" in caplog.text
    release.set()
    wait_for(lambda: writer.undelivered == 3)
