"""A run in a real MLflow store, read back by MLflow's own client."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framework.tracking.base import MetricsEvent, ParamsEvent, PictureEvent, PolicyEvent, TagsEvent
from framework.tracking.mlflow import MLflow
from framework.tracking.store import local_uri

IMAGE = np.zeros((8, 8, 3), np.uint8)


def start(folder: Path, **arguments: Any) -> MLflow:
    return MLflow(uri=local_uri(folder), experiment="dream", name="run", **arguments)


def history(client: Any, run_id: str | None, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, metric)]


def test_parameters_and_tags_are_stored_under_names_and_with_lengths_that_mlflow_accepts(folder: Path, client: Any) -> None:
    tracker = start(folder)
    tracker.record(ParamsEvent({"model/Adam.learning_rate": 6e-4, "a@b": 1, "../up//x": "y", "Encoder.layers": "x" * 7000}))
    tracker.record(TagsEvent({"device": "cpu", "parameters": "x" * 6000}))
    data = client.get_run(tracker.run_id).data
    assert data.params == {"model/Adam.learning_rate": "0.0006", "a_b": "1", "up/x": "y", "Encoder.layers": "x" * 6000}
    assert (data.tags["device"], data.tags["parameters"]) == ("cpu", "x" * 5000)


def test_metrics_wait_for_a_flush_and_infinity_is_stored_as_nan_with_its_first_step_in_a_tag(folder: Path, client: Any) -> None:
    tracker = start(folder, system_seconds=None)
    tracker.record(MetricsEvent(100, {"train/return": 1.0, "model/loss": math.inf}, time=1_000.0))
    tracker.record(MetricsEvent(200, {"train/return": 2.0, "model/loss": -math.inf}, time=1_001.5))
    assert history(client, tracker.run_id, "train/return") == []
    tracker.flush()
    points = client.get_metric_history(tracker.run_id, "train/return")
    assert [(p.step, p.value, p.timestamp) for p in points] == [(100, 1.0, 1_000_000), (200, 2.0, 1_001_500)]
    assert [math.isnan(value) for _, value in history(client, tracker.run_id, "model/loss")] == [True, True]
    assert client.get_run(tracker.run_id).data.tags["not_finite.model/loss"] == "inf at step 100"


def test_system_metrics_are_sampled_once_an_interval_at_the_environment_step(folder: Path, client: Any) -> None:
    tracker = start(folder, system_seconds=1000.0)
    for step in (640, 650):
        tracker.record(MetricsEvent(step, {"train/return": 3.0}))
    tracker.flush()
    names = [name for name in client.get_run(tracker.run_id).data.metrics if name.startswith("system/")]
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= set(names)
    assert all([step for step, _ in history(client, tracker.run_id, name)] == [640] for name in names)


def test_a_continued_run_fills_the_gaps_holds_nothing_twice_and_tags_changed_parameters(folder: Path, client: Any) -> None:
    first = start(folder)
    first.record(ParamsEvent({"Adam.learning_rate": 1, "Trainer.steps": 10}))
    first.record(PictureEvent("model/open loop", 5, IMAGE))
    for step in (100, 200, 400):
        first.record(MetricsEvent(step, {"train/return": float(step)}))
    first.close("KILLED")
    again = start(folder, run_id=first.run_id)
    assert again.run_id == first.run_id
    assert client.get_run(again.run_id).info.status == "RUNNING"
    again.record(ParamsEvent({"Adam.learning_rate": 1, "Trainer.steps": 20, "new": 3}))
    for step in (5, 6):
        again.record(PictureEvent("model/open loop", step, IMAGE))
    for step in (200, 300, 400, 500):
        again.record(MetricsEvent(step, {"train/return": -float(step), "train/new": 1.0}))
    again.close("FINISHED")
    points = [(100, 100.0), (200, 200.0), (300, -300.0), (400, 400.0), (500, -500.0)]
    assert sorted(history(client, again.run_id, "train/return")) == points
    assert [step for step, _ in history(client, again.run_id, "train/new")] == [200, 300, 400, 500]
    pictures = [item.path for item in client.list_artifacts(again.run_id, "images") if item.path.endswith(".png")]
    assert [path.rpartition("+timestamp")[0] for path in sorted(pictures)] == [f"images/model~open loop+step+{step}" for step in (5, 6)]
    data = client.get_run(again.run_id).data
    assert data.params == {"Adam.learning_rate": "1", "Trainer.steps": "10", "new": "3"}
    assert {name: tag for name, tag in data.tags.items() if name.startswith("changed")} == {"changed.Trainer.steps": "20"}
    assert data.tags["contradicted"] == "from step 200 on, by the resumed run: train/return"
    assert start(folder, run_id="0" * 32).run_id not in ("0" * 32, first.run_id), "a run that the store does not have"


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED"), (None, "FINISHED")])
def test_the_status_is_how_the_run_ended(folder: Path, client: Any, error: type[BaseException] | None, status: str) -> None:
    tracker = start(folder)
    try:
        with tracker:
            if error is not None:
                raise error
    except (KeyboardInterrupt, ValueError):
        pass
    assert client.get_run(tracker.run_id).info.status == status


def test_an_experiment_opens_on_the_table_of_runs_and_is_restored_if_it_was_deleted(
    folder: Path, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = client.create_experiment("dream")
    client.delete_experiment(before)
    tracker = start(folder)
    assert client.get_run(tracker.run_id).info.lifecycle_stage == "active"
    assert client.get_experiment(before).tags["mlflow.experimentKind"] == "custom_model_development"
    assert "had been deleted" in caplog.text


def test_a_policy_is_a_model_with_signature_example_pinned_requirements_and_aliases(
    folder: Path, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "weights").write_bytes(b"w")
    tracker = start(folder)
    observation: dict[str, np.ndarray] = {"image": np.zeros((2, 16, 16, 3), np.uint8), "speed": np.zeros((2, 4), np.float32)}
    action = np.zeros((2, 1), np.float32)
    requirements = ["torch==2.0", "mine==0.1"]
    tracker.record(PolicyEvent(checkpoint, 5, requirements, observation, action, aliases=("best", "latest")))
    started = time.process_time()
    tracker.record(PolicyEvent(checkpoint, 9, requirements, observation, action))
    assert time.process_time() - started < 2
    best, latest = (client.get_model_version_by_alias("run", alias) for alias in ("best", "latest"))
    assert (int(best.version), int(latest.version)) == (1, 2)
    assert latest.run_id == tracker.run_id
    path = download_artifacts(client.get_model_version_download_uri("run", "2"), tracking_uri=local_uri(folder))
    model = Model.load(path)
    assert [each.name for each in model.signature.inputs] == ["image", "speed"]
    assert model.load_input_example(path)["image"].shape == (2, 16, 16, 3)
    assert set(requirements) <= set((Path(path) / "requirements.txt").read_text().split())
    assert not (tmp_path / "mlflow.db").exists()
    assert (Path(path) / "data" / "checkpoint" / "weights").read_bytes() == b"w"


def test_metrics_of_a_deleted_run_are_refused_once_and_dropped(folder: Path, client: Any) -> None:
    from mlflow.exceptions import MlflowException

    tracker = start(folder)
    client.delete_run(tracker.run_id)
    tracker.record(MetricsEvent(1, {"a": 1.0}))
    with pytest.raises(MlflowException, match="active"):
        tracker.flush()
    tracker.flush()
