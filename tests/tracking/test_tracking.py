"""A whole tracker: store, mirror and line together, in the presence of whatever can go wrong."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framework.errors import UserError
from framework.tracking import store
from framework.tracking.base import MetricsEvent, PolicyEvent, VideoEvent
from framework.tracking.jsonl import read
from framework.tracking.provenance import command
from framework.tracking.runs import open_run, read_run, runs
from framework.tracking.tracking import Tracking
from tests.members import ROOT
from tests.tracking.starting import begin, points, recorded

PROGRAM = """
import signal, sys, time
from pathlib import Path
from framework.tracking.base import MetricsEvent
from framework.tracking.tracking import Tracking
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with Ctrl-C ignored
tracking = Tracking(folder=sys.argv[1])
run_folder = tracking.new_run_folder(recipe="quickstart", seed=int(sys.argv[2]))
with tracking.start(run_folder=run_folder, total_steps=10, parameters={"seed": sys.argv[2]}, tags={}) as tracker:
    tracker.record(MetricsEvent(1, {"train/return": 1.0}))
    print("ready", run_folder, flush=True)
    time.sleep(float(sys.argv[3]))
"""


def program(folder: Path, seed: int, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(folder), str(seed), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_run_is_in_mlflow_with_everything_that_it_recorded(folder: Path, client: Any) -> None:
    files = [folder / "run" / name for name in ("resolved.gin", "code/mine/negatives.py")]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a = 1\n")
    with begin(folder, folder / "run", files=files) as tracker:
        tracker.record(MetricsEvent(100, {"train/return": 3.0}))
        tracker.record(VideoEvent("eval/episode", 100, np.zeros((3, 16, 16, 3), np.uint8), 20.0))
    run = client.get_run(tracker.run_id)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert (run.info.status, run.data.params, run.data.metrics["train/return"]) == ("FINISHED", {"Adam.rate": "1"}, 3.0)
    assert {"seed", "version.torch", "version.mujoco", "version.python", "command", "run_folder"} <= set(run.data.tags)
    names = {item.path for item in client.list_artifacts(run.info.run_id, "recipe")}
    assert names == {"recipe/code", "recipe/resolved.gin"}
    assert [item.path for item in client.list_artifacts(run.info.run_id, "recipe/code/mine")] == ["recipe/code/mine/negatives.py"]
    assert [item.path for item in client.list_artifacts(run.info.run_id, "video")] == ["video/eval-episode-100.mp4"]
    assert read_run(tracker.run_folder).run_id == run.info.run_id
    kinds = [record["kind"] for record in read(tracker.run_folder)]
    assert kinds == ["params", "tags", "file", "file", "metrics", "video", "close"]


def test_the_context_of_a_run_becomes_tags_and_parameters_and_places_it_below_another(
    folder: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = recorded(folder, 1).run_id
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", json.dumps({"mlflow.parentRunId": parent, "task": "cheetah_run", "Adam.rate": 7}))
    child = client.get_run(recorded(folder, 1).run_id)
    assert {name: child.data.tags.get(name) for name in ("mlflow.parentRunId", "task", "seed")} == {
        "mlflow.parentRunId": parent,
        "task": "cheetah_run",
        "seed": "1",
    }
    assert child.data.params == {"task": "cheetah_run", "Adam.rate": "1"}, "a setting keeps its own value"
    for damaged in ("[1]", "{"):
        monkeypatch.setenv("MLFLOW_RUN_CONTEXT", damaged)
        with pytest.raises(UserError, match=r"^MLFLOW_RUN_CONTEXT = .* mend or unset it\.$"):
            recorded(folder, 1)


def test_without_a_store_the_mirror_records_a_run_and_of_the_difference_to_the_commit_its_hash_unless_more_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hashes = set()
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "mine.py").write_text("a = 1\n")
    (tmp_path / ".gitignore").write_text("runs\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *arguments], check=True)
    (tmp_path / "runs" / "mlflow.db").mkdir(parents=True)  # which is no database
    for text, changed, git_diff in (("a = 1\n", "false", True), ("a = 2\n", "true", False), ("a = 3\n", "true", True)):
        (tmp_path / "mine.py").write_text(text)
        tracker = recorded(tmp_path / "runs", 1, git_diff=git_diff)
        records = list(read(tracker.run_folder))
        assert (tracker.run_id, read_run(tracker.run_folder).run_id) == (None, None)
        assert [record["step"] for record in records if record["kind"] == "metrics"] == [1]
        assert records[1]["values"]["git.changed"] == changed
        hashes.add(records[1]["values"]["git.diff.sha256"])
        assert [each["path"] for each in records if each["kind"] == "file"] == (["git.diff"] if git_diff and changed == "true" else [])
        assert (tracker.run_folder / "git.diff").exists() == (git_diff and changed == "true")
    assert len(hashes) == 3
    assert "MLflow cannot record this run" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["dream", "train", "quickstart", "-b", "task='walker_walk'"], """dream train quickstart -b 'task='"'"'walker_walk'"'"''"""),
        ([str(ROOT / "framework" / "__main__.py"), "bench", "update"], "python -m framework bench update"),
    ],
    ids=["typed", "as a module, without a folder of this machine"],
)
def test_the_command_is_recorded_as_it_was_given(monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    assert command() == line


def test_a_resumed_run_that_was_deleted_from_the_store_is_sent_again_from_the_mirror(folder: Path, client: Any) -> None:
    tracker = recorded(folder, 0, 100, 200)
    client.delete_run(tracker.run_id)
    with pytest.raises(ValueError, match="resume_step"):
        begin(folder, tracker.run_folder)
    with begin(folder, tracker.run_folder, resume_step=100) as again:
        again.record(MetricsEvent(150, {"train/return": 1.0}))
    assert again.run_id != tracker.run_id
    assert points(client, again.run_id) == [0, 100, 150]


@pytest.mark.parametrize(
    ("bound", "variables", "experiment", "name"),
    [
        ({}, {}, "dream", None),
        ({}, {"MLFLOW_EXPERIMENT_NAME": "mine", "MLFLOW_RUN_NAME": "first/try"}, "mine", "first/try"),
        ({}, {"MLFLOW_EXPERIMENT_ID": "1"}, "tables", None),
        ({"experiment": "bound", "name": "bound"}, {"MLFLOW_EXPERIMENT_NAME": "mine", "MLFLOW_RUN_NAME": "first"}, "bound", None),
    ],
    ids=["neither", "by name", "by id", "bound in the recipe"],
)
def test_the_variables_of_mlflow_name_the_experiment_and_the_run_unless_the_recipe_does(
    folder: Path, client: Any, monkeypatch: pytest.MonkeyPatch, bound: Any, variables: dict[str, str], experiment: str, name: str | None
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    tracking = Tracking(folder=str(folder), **bound)
    run_folder = tracking.new_run_folder(recipe="quickstart", seed=1)
    with tracking.start(run_folder=run_folder, total_steps=10, parameters={}, tags={}) as tracker:
        pass
    run = client.get_run(tracker.run_id)
    assert client.get_experiment(run.info.experiment_id).name == experiment
    assert run.info.run_name == name or (name is None and run.info.run_name == run_folder.name)
    assert open_run(run_folder.name, folder).run_id == open_run(run.info.run_name, folder).run_id == tracker.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", str(tracker.run_id))
    begin(folder, run_folder, resume_step=0).close("FINISHED")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"MLFLOW_EXPERIMENT_ID": "77"}, r"MLFLOW_EXPERIMENT_ID = 77 is no experiment of sqlite:.*: unset it"),
        ({"MLFLOW_EXPERIMENT_ID": "1", "MLFLOW_EXPERIMENT_NAME": "mine"}, r"NAME = mine, but MLFLOW_EXPERIMENT_ID = 1 is .* 'tables'"),
        ({"MLFLOW_RUN_ID": "0" * 32}, r"MLFLOW_RUN_ID = 0{32} names a run to be continued, and this one is a new one: unset it"),
    ],
)
def test_variables_of_mlflow_that_do_not_fit_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=sentence):
        begin(folder)
    assert runs(folder) == []


@pytest.mark.nightly
def test_two_processes_may_start_on_a_fresh_store_and_ctrl_c_leaves_one_killed(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    first, second = program(tmp_path / "runs", 0, 0), program(tmp_path / "runs", 1, 60)
    assert second.stdout is not None
    second.stdout.readline()
    second.send_signal(signal.SIGINT)
    errors = [process.communicate(timeout=180)[1] for process in (first, second)]
    assert first.returncode == 0, errors
    assert all("MLflow" not in error for error in errors), errors
    client = MlflowClient(store.local_uri(tmp_path / "runs"))
    runs = client.search_runs([client.get_experiment_by_name("dream").experiment_id])
    assert {run.data.params["seed"]: run.info.status for run in runs} == {"0": "FINISHED", "1": "KILLED"}
    assert [run.data.metrics["train/return"] for run in runs] == [1.0, 1.0]


def test_a_server_that_does_not_answer_is_replaced_by_the_local_store(
    folder: Path, client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store, "PATIENCE", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        assert "imed out" in str(store.problem(uri))
        assert time.monotonic() - started < 2
    monkeypatch.setenv(store.TRACKING_URI, uri)
    assert points(client, recorded(folder, 1).run_id) == [1]
    (message,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert message.startswith(f"The tracking server {uri} does not answer (")
    assert message.endswith(f"this run goes to {store.local_uri(folder)} instead.")


def test_a_server_records_a_run_its_resumption_and_its_policy(
    server: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(store.TRACKING_URI, server.uri)
    tracker = recorded(folder, 0, 100, 200)
    observation, action = {"speed": np.zeros((2, 4), np.float32)}, np.zeros((2, 1), np.float32)
    (tmp_path / "checkpoint").mkdir()
    with begin(folder, tracker.run_folder, resume_step=100) as again:
        for step in (200, 300):
            again.record(MetricsEvent(step, {"train/return": 1.0}))
        again.record(PolicyEvent(tmp_path / "checkpoint", 300, (), observation, action, aliases=("best",)))
    client = server.client()
    assert again.run_id == tracker.run_id
    assert points(client, again.run_id) == [0, 100, 200, 300]
    assert client.get_run(again.run_id).info.status == "FINISHED"
    assert client.get_model_version_by_alias(tracker.run_folder.name, "best").run_id == tracker.run_id


def test_a_server_that_dies_midway_and_comes_back_misses_nothing(
    server: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(store.TRACKING_URI, server.uri)
    tracker = begin(folder)
    server.stop()
    started = time.monotonic()
    for step in range(100):
        tracker.record(MetricsEvent(step, {"train/return": 1.0}))
    assert time.monotonic() - started < 2
    end = time.monotonic() + 15
    while "tried again" not in caplog.text and time.monotonic() < end:
        time.sleep(0.05)
    server.start()
    tracker.close("FINISHED")
    assert points(server.client(), tracker.run_id) == list(range(100))
    assert (caplog.text.count("tried again"), caplog.text.count("works again")) == (1, 1)


def test_a_run_has_its_own_folder_and_is_found_by_id_prefix_name_folder_and_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(("cartpole-1", "cartpole-2", "walker-1")):
        (tmp_path / name).mkdir()
        values = {"name": name, "experiment": "dream", "tracking_uri": "x", "run_id": f"{number}" * 32}
        (tmp_path / name / "run.json").write_text(json.dumps(values | {"started": f"2026-01-0{number + 1}"}))
    monkeypatch.chdir(tmp_path)
    names = [open_run(run, tmp_path).name for run in ("0" * 32, "11", "walker", "cartpole-1", str(tmp_path / "cartpole-2"))]
    assert names == ["cartpole-1", "cartpole-2", "walker-1", "cartpole-1", "cartpole-2"]
    assert open_run("latest", tmp_path).name == "walker-1"
    assert [record.name for record in runs(tmp_path)] == ["walker-1", "cartpole-2", "cartpole-1"]
    with pytest.raises(UserError, match="2 runs fit 'cartpole'"):
        open_run("cartpole", tmp_path)
    with pytest.raises(UserError, match=r"no run 'nothing'.*latest are: walker-1 \(22222222\), cartpole-2"):
        open_run("nothing", tmp_path)
    assert len({Tracking(folder=str(tmp_path / "new"), name="mine").new_run_folder(recipe="quickstart", seed=3) for _ in range(3)}) == 3
    with pytest.raises(UserError, match="there are no runs at all"):
        open_run("latest", tmp_path / "empty")
