"""The runs that a report is about, by name and by tag, and its place in MLflow."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from framework.errors import UserError
from framework.reports.report import report
from framework.reports.selection import select
from framework.sweeps.record import Cell, read_sweep
from framework.tracking.runs import read_run
from framework.tracking.store import local_uri
from tests.reports.run_folders import write_run, write_sweep


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, and a sweep of one more, which was begun twice."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "runs"
    write_run(folder, "one", {100: 1.0})
    write_run(folder, "two", {100: 1.0}, seed=1, task="cheetah_run")
    for name in ("killed before its first checkpoint", "three"):
        write_run(folder / "swept", name, {100: 1.0}, seed=2)
    write_sweep(folder / "swept", [Cell("cell", "quickstart", (), {}, "cartpole_swingup", 2, "three", "finished")])
    return folder


def chosen(folder: Path, *names: str, **tags: str) -> list[str]:
    return [each.name for each in select(names, tags, folder).histories]


def test_runs_are_found_by_name_and_folder_and_sweeps_by_theirs(folder):
    assert chosen(folder, "one", str(folder / "two")) == ["one", "two"]
    assert chosen(folder, "swept") == ["three"]
    assert chosen(folder, "one", "swept", "one") == ["one", "three"]
    assert select(["swept"], {}, folder).sweep == read_sweep(folder / "swept")


def test_tags_choose_among_all_runs_and_those_of_sweeps_or_among_the_named(folder):
    assert sorted(chosen(folder, task="cartpole_swingup")) == ["one", "three"]
    assert chosen(folder, task="cartpole_swingup", seed="2") == ["three"]
    assert chosen(folder, "one", "two", recipe="quickstart", seed="1") == ["two"]
    assert sorted(chosen(folder, host="vm")) == ["one", "three", "two"]
    with pytest.raises(UserError, match=r"No run in .*runs has the tag task=walker_walk and seed=0; `dream ui` shows"):
        chosen(folder, task="walker_walk", seed="0")


def test_a_tag_that_only_mlflow_has_chooses_too_and_the_report_is_an_artifact_of_the_sweeps_run(folder, tables):
    from mlflow import MlflowClient

    shutil.copy(tables, folder / "mlflow.db")
    client = MlflowClient(local_uri(folder))
    experiment = client.create_experiment("dream", (folder / "artifacts").as_uri())
    child, parent = (client.create_run(experiment).info.run_id for _ in range(2))
    replace(read_run(folder / "two"), run_id=child, tracking_uri=local_uri(folder)).write()
    client.set_tag(child, "paper", "it's 'final'"[:4])
    assert chosen(folder, paper="it's") == ["two"]
    replace(read_sweep(folder / "swept"), parent_run_id=parent, tracking_uri=local_uri(folder)).write()
    made = report("swept", folder=folder)
    names = {each.path for each in client.list_artifacts(parent, "report")}
    assert names == {f"report/{path.name}" for path in made.page.parent.iterdir()}
    assert "report/report.html" in names


def test_a_store_that_is_gone_loses_no_report(folder, caplog):
    replace(read_sweep(folder / "swept"), parent_run_id="0" * 32, tracking_uri=local_uri(folder)).write()
    made = report("swept", folder=folder)
    assert made.page is not None
    assert made.page.is_file()
    (message,) = caplog.messages
    assert message.startswith("MLflow does not take the report of swept (there is no ")
    assert not (folder / "mlflow.db").exists()
