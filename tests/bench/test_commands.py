"""`dream bench`: each command on a tiny recipe, and what it must not import."""

import json
import subprocess
import sys

import pytest
import torch

from framework.bench import limits
from tests.cli.calls import TINY, bound, call_dream, environment

BRIEF = ["--seconds", "0", "--repeats", "2"]


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SIZE", 64)
    monkeypatch.setattr(limits, "COPIED", 4096)


def rows(*arguments: object) -> tuple[list[dict], dict]:
    """What a command writes as JSON."""
    result = call_dream("bench", *arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found) == {"rows", "setting", "notes"}
    for fact in ("device", "processor", "threads", "versions", "commit", "load", "python"):
        assert fact in found["setting"]
    return found["rows"], found["setting"]


def test_an_update_says_what_it_takes_and_what_it_asks(tmp_path):
    trace = tmp_path / "trace.json"
    (row,), setting = rows("update", TINY, *BRIEF, "--roofline", "--profile", trace)
    assert row["median_ms"] > 0
    assert row["updates_per_second"] == pytest.approx(1e3 / row["median_ms"])
    assert row["replayed_steps_per_second"] == pytest.approx(4 * 6 * row["updates_per_second"])
    assert row["environment_steps_per_second"] == pytest.approx(row["replayed_steps_per_second"] / 6.0)
    assert row["calls"] == 2
    assert row["waits"] == 0
    assert 500 < row["operators_computing"] < row["operators"] < 3000
    assert row["share_of_product"] == pytest.approx(row["GFLOP_per_second"] / row["product_GFLOP_per_second"])
    assert row["times_the_floor"] == pytest.approx(row["median_ms"] / max(row["arithmetic_ms"], row["product_bytes_ms"]))
    assert row["product_GB"] < row["all_GB"]
    shares = {name.removeprefix("share_"): value for name, value in row.items() if name.startswith("share_") and name != "share_of_product"}
    assert {"sample", "encoder", "dynamics", "objectives", "imagination", "behavior", "backward", "optimizers", "rest"} <= set(shares)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert json.loads(trace.read_text())["traceEvents"]
    assert setting["precision"] == "float32"
    assert setting["batch"] == 4


def test_marking_stages_leaves_the_agent_as_it_was(tmp_path):
    from framework.bench import subject
    from framework.bench.profiling import traced
    from framework.bench.update import Update

    update = Update(subject.read(str(TINY)))
    before = [dict(vars(each)) for each in (update.agent.world_model, update.agent.behavior, update.replay)]
    traced(update, update.agent, update.replay, torch.device("cpu"), tmp_path / "trace.json", inside=True)
    assert [[*vars(each)] for each in (update.agent.world_model, update.agent.behavior, update.replay)] == [[*each] for each in before]


def test_acting_is_measured_for_one_environment_and_for_all():
    found, _ = rows("act", TINY, *BRIEF, *bound("Run.environments=3"))
    assert [row["act"] for row in found] == ["1 environment", "3 environments"]
    assert found[1]["actions_per_second"] == pytest.approx(3e3 / found[1]["median_ms"])


def test_the_replay_is_measured_at_every_size():
    found, setting = rows("replay", TINY, *BRIEF, "--steps", "64", "--steps", "128")
    assert [row["replay"] for row in found] == ["64 steps", "128 steps"]
    assert all(row["median_ms"] > 0 and row["add_ms"] > 0 for row in found)
    assert (setting["batch"], setting["length"], setting["storage"]) == (4, 6, "memory")


def test_the_environment_is_measured_here_and_in_processes():
    found, setting = rows("env", TINY, *BRIEF, *bound("Run.environments=2"))
    assert [row["env"] for row in found] == ["1 environment, serial", "2 environments, process"]
    assert all(row["environment_steps_per_second"] >= row["observations_per_second"] > 0 for row in found)
    assert "Counting" in next(iter(setting["environment"]))


def test_collecting_is_measured():
    (row,), _ = rows("collect", TINY, *BRIEF)
    assert row["environment_steps_per_second"] > 0


def test_a_run_is_measured_by_what_it_logs_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (row,), _ = rows("run", TINY, "--seconds", "30")
    assert row["updates"] > 0
    shares = [row[f"share_{stage}"] for stage in ("update", "act", "step", "evaluate", "checkpoint")]
    assert all(0 <= share <= 1 for share in shares)
    assert 0 < sum(shares) <= 1 + 1e-9
    assert row["share_outside_updates"] == pytest.approx(1 - row["share_update"])
    assert row["environment_steps_per_second"] > 0
    assert [*tmp_path.iterdir()] == []


def test_a_table_is_for_people_and_a_file_for_programs(tmp_path):
    result = call_dream("bench", "act", TINY, *BRIEF, "--json", tmp_path / "deep" / "act.json")
    assert result.exit_code == 0
    assert "median ms" in result.stdout
    assert json.loads((tmp_path / "deep" / "act.json").read_text())["rows"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["update", "quickstrat"], "did you mean 'quickstart'?"),
        (["update", "quickstart", "-b", "Trainer.stps=3"], "Trainer.stps"),
        (["update", "quickstart", "--profile", "trace.txt"], "must end with .json"),
        (["update", TINY, "--actions", "3"], "Counting is built here"),
        (["act", "quickstart", "--repeats", "0"], "0 is not in the range"),
        (["replay", TINY, "--steps", "10"], "8 streams of one sequence each are 48 steps"),
        (["run", TINY, "--seconds", "0.001"], "give more --seconds"),
        (["updte"], "No such command 'updte'"),
    ],
)
def test_what_can_be_mended_exits_with_2_on_one_screen(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = call_dream("bench", *arguments)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert len(result.stderr.splitlines()) <= 24
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["update", "act", "replay"])
def test_it_runs_on_a_bare_machine(command, tmp_path):
    """Neither a simulator nor a tracker is imported for a recipe of the control suite."""
    program = (
        "import json, sys\nfrom framework.bench import limits\nlimits.SIZE, limits.COPIED = 64, 64\nfrom framework.cli import dream\n"
        f"try:\n    dream(['bench', {command!r}, 'quickstart', '--seconds', '0', '--repeats', '1', '--json', 'out.json',"
        " '-b', 'Replay.batch=2', '-b', 'Replay.length=4', '-b', 'Agent.horizon=2'])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print(json.dumps([name for name in ('mlflow', 'dm_control', 'mujoco', 'matplotlib') if name in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == []
    assert json.loads((tmp_path / "out.json").read_text())["setting"]["observation"] == {"pixels": [32, 32, 3]}
