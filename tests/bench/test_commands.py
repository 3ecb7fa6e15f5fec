"""`dream bench`: each command on a tiny recipe, and the packages that it must not import."""

import json
import subprocess
import sys

import pytest
import torch

import framework
from framework.bench import machine
from framework.bench.profiling import traced
from framework.bench.update import SampledUpdate
from tests.cli.calls import TINY, bound, call_dream, environment

BRIEF = ["--seconds", "0", "--repeats", "2"]


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SIZE", 64)
    monkeypatch.setattr(machine, "COPIED", 4096)


def rows(*arguments: object) -> tuple[list[dict], dict]:
    """The rows and the setting that a command writes as JSON."""
    result = call_dream("bench", *arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert set(report) == {"rows", "setting"}
    assert {"device", "processor", "threads", "versions", "commit", "load", "python"} <= set(report["setting"])
    return report["rows"], report["setting"]


def test_an_update_has_times_counts_least_times_and_shares(tmp_path):
    trace = tmp_path / "trace.json"
    (row,), setting = rows("update", TINY, *BRIEF, "--roofline", "--profile", trace)
    assert row["replayed_steps_per_second"] == pytest.approx(4 * 6 * 1e3 / row["median_ms"])
    assert row["environment_steps_per_second"] == pytest.approx(row["replayed_steps_per_second"] / 6.0)
    assert (row["calls"], row["waits"]) == (2, 0)
    assert 500 < row["operators_computing"] < row["operators"] < 3000
    assert row["share_of_product"] == pytest.approx(row["GFLOP_per_second"] / row["product_GFLOP_per_second"])
    assert row["times_the_floor"] == pytest.approx(row["median_ms"] / max(row["arithmetic_ms"], row["product_bytes_ms"]))
    assert row["product_GB"] < row["all_GB"]
    shares = {name.removeprefix("share_"): value for name, value in row.items() if name.startswith("share_") and name != "share_of_product"}
    assert {"sample", "encoder", "dynamics", "objectives", "imagination", "policy", "behavior", "backward", "optimizers", "rest"} <= set(
        shares
    )
    assert sum(shares.values()) == pytest.approx(1.0)
    assert json.loads(trace.read_text())["traceEvents"]
    assert (setting["precision"], setting["batch"]) == ("float32", 4)


def test_marking_stages_leaves_the_agent_as_it_was(tmp_path):
    update = SampledUpdate(framework.compose(str(TINY)))
    owners = (update.agent.world_model, update.agent.behavior, update.replay)
    before = [[*vars(each)] for each in owners]
    traced(update, update.agent, update.replay, torch.device("cpu"), tmp_path / "trace.json", inside=True)
    assert [[*vars(each)] for each in owners] == before


def test_acting_is_measured_for_one_environment_and_for_all():
    (one, three), _ = rows("act", TINY, *BRIEF, *bound("Run.environments=3"))
    assert [one["act"], three["act"]] == ["1 environment", "3 environments"]
    assert three["actions_per_second"] == pytest.approx(3e3 / three["median_ms"])


def test_the_replay_is_measured_at_every_size():
    measured, setting = rows("replay", TINY, *BRIEF, "--steps", "64", "--steps", "128")
    assert [row["replay"] for row in measured] == ["64 steps", "128 steps"]
    assert all(row["median_ms"] > 0 and row["add_ms"] > 0 for row in measured)
    assert (setting["batch"], setting["length"], setting["storage"]) == (4, 6, "memory")


BATCHED = ("Run.vector=@vector_environments.BatchedGymnasium", "BatchedGymnasium.task='CartPole-v1'")
CARTPOLE = ("Run.environment=@environments.Gymnasium", "Gymnasium.task='CartPole-v1'", *BATCHED)


@pytest.mark.parametrize(
    ("command", "bindings", "names"),
    [
        ("env", (), ["1 environment, serial", "2 environments, process"]),
        ("env", CARTPOLE, ["1 environment, BatchedGymnasium", "2 environments, BatchedGymnasium"]),
        ("collect", (), ["2 environments"]),
    ],
)
def test_the_environment_is_measured_by_itself_and_with_the_actor(command, bindings, names):
    measured, setting = rows(command, TINY, *BRIEF, *bound("Run.environments=2", *bindings))
    assert [row[command] for row in measured] == names
    assert all(row["environment_steps_per_second"] >= row["observations_per_second"] > 0 for row in measured)
    assert ("Gymnasium" if bindings else "Counting") in next(iter(setting["environment"]))


def test_a_run_is_measured_by_its_own_metrics_and_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (row,), _ = rows("run", TINY, "--seconds", "30")
    assert row["updates"] > 0
    shares = [row[f"share_{stage}"] for stage in ("update", "act", "step", "evaluate", "checkpoint")]
    assert all(0 <= share <= 1 for share in shares)
    assert 0 < sum(shares) <= 1 + 1e-9
    assert row["share_outside_updates"] == pytest.approx(1 - row["share_update"])
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["update", "quickstrat"], "did you mean 'quickstart'?"),
        (["update", "quickstart", "-b", "Trainer.stps=3"], "Trainer.stps"),
        (["update", "quickstart", "--profile", "trace.txt"], "must end with .json"),
        (["update", TINY, "--actions", "3"], "Counting is built here"),
        (["act", "quickstart", "--repeats", "0"], "0 is not in the range"),
        (["replay", TINY, "--steps", "10"], "8 streams of one sequence each are 48 steps"),
        (["run", TINY, "--seconds", "0.001"], "give more --seconds"),
    ],
)
def test_a_mistake_exits_with_2_and_one_sentence(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = call_dream("bench", *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_update_act_and_replay_need_neither_a_simulator_nor_a_tracker(tmp_path):
    """For a recipe of the control suite, on a machine that has neither."""
    program = """
import json, sys
from framework.bench import machine
machine.SIZE, machine.COPIED = 64, 64
from framework.cli import dream
for command in ("update", "act", "replay"):
    small = ["-b", "Replay.batch=2", "-b", "Replay.length=4", "-b", "Agent.horizon=2"]
    dream(["bench", command, "quickstart", "--seconds", "0", "--repeats", "1", "--json", f"{command}.json", *small], standalone_mode=False)
print(json.dumps([name for name in ("mlflow", "dm_control", "mujoco", "matplotlib") if name in sys.modules]))
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == []
    settings = [json.loads((tmp_path / f"{command}.json").read_text())["setting"] for command in ("update", "act", "replay")]
    assert all(each["observation"] == {"pixels": [32, 32, 3]} for each in settings)
    assert "median ms" in run.stdout
