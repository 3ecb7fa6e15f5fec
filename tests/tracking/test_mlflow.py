import math
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framework
from framework.tracking.mlflow import MLflow
from framework.tracking.store import local_uri


def start(folder: Path, **arguments: Any) -> MLflow:
    return MLflow(uri=local_uri(folder), folder=folder, experiment="dream", name="run", **arguments)


def history(client: Any, run_id: str | None, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, metric)]


def test_parameters_and_tags_come_back_under_names_that_mlflow_takes(folder: Path, client: Any) -> None:
    tracker = start(folder)
    tracker.params({"model/Adam.learning_rate": 6e-4, "a@b": 1, "a(b": 2, "../up//x": "y"})
    tracker.tags({"device": "cpu"})
    data = client.get_run(tracker.run_id).data
    assert data.params == {"model/Adam.learning_rate": "0.0006", "a_b": "1", "a_b.2": "2", "up/x": "y"}
    assert data.tags["device"] == "cpu"


def test_a_value_too_long_for_mlflow_is_kept_whole_as_an_artifact(folder: Path, client: Any) -> None:
    tracker = start(folder)
    tracker.params({"Encoder.layers": "x" * 7000})
    assert client.get_run(tracker.run_id).data.params["Encoder.layers"].startswith("7000 characters, in the artifact parameters/")
    path = client.download_artifacts(tracker.run_id, "parameters/Encoder.layers.txt")
    assert Path(path).read_text() == "x" * 7000


def test_metrics_wait_for_a_flush_and_carry_the_time_of_their_call(folder: Path, client: Any) -> None:
    tracker = start(folder)
    tracker.metrics(100, {"train/return": 1.0}, time=1_000.0)
    tracker.metrics(200, {"train/return": 2.0}, time=1_001.5)
    assert history(client, tracker.run_id, "train/return") == []
    tracker.flush()
    assert history(client, tracker.run_id, "train/return") == [(100, 1.0), (200, 2.0)]
    assert [p.timestamp for p in client.get_metric_history(tracker.run_id, "train/return")] == [1_000_000, 1_001_500]


def test_infinity_is_stored_as_nan_and_a_tag_says_where_it_came(folder: Path, client: Any) -> None:
    tracker = start(folder)
    tracker.metrics(7, {"model/loss": math.inf, "model/other": 1.0})
    tracker.metrics(8, {"model/loss": -math.inf})
    tracker.flush()
    assert all(math.isnan(value) for _, value in history(client, tracker.run_id, "model/loss"))
    assert client.get_run(tracker.run_id).data.tags["not_finite.model/loss"] == "inf at step 7"


def test_pictures_videos_files_and_texts_become_artifacts(folder: Path, client: Any, tmp_path: Path) -> None:
    tracker = start(folder)
    (tmp_path / "resolved.gin").write_text("a = 1\n")
    tracker.picture("model/reconstruction", 5, np.full((8, 8, 3), 9, np.uint8))
    tracker.video("eval/episode", 5, np.zeros((3, 9, 9, 3), np.uint8), 20.0)
    tracker.file(tmp_path / "resolved.gin", "recipe")
    tracker.text("git.diff", "+1\n")
    names = {item.path for place in ("images", "video", "recipe", "") for item in client.list_artifacts(tracker.run_id, place)}
    assert {"video/eval-episode-5.mp4", "recipe/resolved.gin", "git.diff"} <= names
    assert any(name.startswith("images/model~reconstruction+step+5+") and name.endswith(".png") for name in names)


def test_a_continued_run_holds_no_point_twice(folder: Path, client: Any) -> None:
    first = start(folder)
    for step in (100, 200, 300, 400):
        first.metrics(step, {"train/return": float(step), "train/only_late" if step > 200 else "train/early": 1.0})
    first.close("KILLED")
    again = start(folder, run_id=first.run_id, keep_until=200)
    assert again.run_id == first.run_id
    run = client.get_run(again.run_id)
    assert run.info.status == "RUNNING"
    assert run.data.metrics == {"train/return": 200.0, "train/early": 1.0}
    for step in (200, 300, 500):
        again.metrics(step, {"train/return": -float(step)})
    again.close("FINISHED")
    assert history(client, again.run_id, "train/return") == [(100, 100.0), (200, 200.0), (300, -300.0), (500, -500.0)]
    assert client.get_run(again.run_id).data.metrics["train/return"] == -500.0


def test_a_continued_run_holds_no_picture_twice(folder: Path, client: Any) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    first = start(folder)
    first.picture("model/open loop", 5, image)
    again = start(folder, run_id=first.run_id, keep_until=0)
    again.picture("model/open loop", 5, image)
    again.picture("model/open loop", 6, image)
    pictures = [item.path for item in client.list_artifacts(again.run_id, "images") if item.path.endswith(".png")]
    assert len(pictures) == 2


def test_a_changed_parameter_of_a_continued_run_becomes_a_tag(folder: Path, client: Any) -> None:
    first = start(folder)
    first.params({"Adam.learning_rate": 1, "Trainer.steps": 10})
    again = start(folder, run_id=first.run_id, keep_until=0)
    again.params({"Adam.learning_rate": 1, "Trainer.steps": 20, "new": 3})
    data = client.get_run(again.run_id).data
    assert data.params == {"Adam.learning_rate": "1", "Trainer.steps": "10", "new": "3"}
    assert {name: tag for name, tag in data.tags.items() if name.startswith("changed")} == {"changed.Trainer.steps": "20"}


def test_a_run_that_the_store_does_not_have_is_made_anew(folder: Path) -> None:
    assert start(folder, run_id="0" * 32).run_id != "0" * 32


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED"), (None, "FINISHED")])
def test_the_status_tells_how_the_run_ended(folder: Path, client: Any, error: type[BaseException] | None, status: str) -> None:
    tracker = start(folder)
    try:
        with tracker:
            if error is not None:
                raise error
    except (KeyboardInterrupt, ValueError):
        pass
    assert client.get_run(tracker.run_id).info.status == status


def test_a_deleted_experiment_is_brought_back(folder: Path, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    start(folder)
    client.delete_experiment(client.get_experiment_by_name("dream").experiment_id)
    tracker = start(folder)
    assert client.get_run(tracker.run_id).info.lifecycle_stage == "active"
    assert "had been deleted" in caplog.text


def test_a_policy_is_a_model_with_signature_example_pinned_requirements_and_aliases(
    folder: Path, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "weights").write_bytes(b"w")
    tracker = start(folder)
    observation: dict[str, np.ndarray] = {"image": np.zeros((2, 16, 16, 3), np.uint8), "speed": np.zeros((2, 4), np.float32)}
    action = np.zeros((2, 1), np.float32)
    tracker.model(checkpoint, step=5, observation=observation, action=action, aliases=("best", "latest"))
    started = time.process_time()
    tracker.model(checkpoint, step=9, observation=observation, action=action)
    assert time.process_time() - started < 2
    best, latest = (client.get_model_version_by_alias("run", alias) for alias in ("best", "latest"))
    assert (int(best.version), int(latest.version)) == (1, 2)
    assert latest.run_id == tracker.run_id
    model = read_model(client.get_model_version_download_uri("run", "2"))
    assert [each.name for each in model["signature"].inputs] == ["image", "speed"]
    assert model["example"]["image"].shape == (2, 16, 16, 3)
    assert {f"{name}=={version(name)}" for name in ("gin-config", "torch", "numpy")} <= set(model["requirements"].split())
    assert f"dream-framework=={framework.__version__}" in model["requirements"]
    assert not (tmp_path / "mlflow.db").exists()
    assert (model["path"] / "data" / "checkpoint" / "weights").read_bytes() == b"w"


def read_model(uri: str) -> dict[str, Any]:
    from mlflow.models import Model

    path = Path(uri.removeprefix("file://"))
    model = Model.load(str(path))
    requirements = (path / "requirements.txt").read_text()
    return {
        "path": path,
        "signature": model.signature,
        "example": model.load_input_example(str(path)),
        "requirements": requirements,
    }


def test_metrics_of_a_deleted_run_are_refused_and_not_kept_for_ever(folder: Path, client: Any) -> None:
    from mlflow.exceptions import MlflowException

    tracker = start(folder)
    client.delete_run(tracker.run_id)
    tracker.metrics(1, {"a": 1.0})
    with pytest.raises(MlflowException, match="active"):
        tracker.flush()
    tracker.flush()
