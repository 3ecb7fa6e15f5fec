"""A run through the command: trained, resumed, evaluated, filmed, loaded as a policy."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from filelock import FileLock

import framework
from framework.training.lock import LOCK
from tests.cli.calls import TINY, Call, bound, environment, without_store


def test_train_says_what_was_learned_and_what_to_do_next(trained: tuple[Path, Result]) -> None:
    folder, result = trained
    name = next(path.name for path in (folder / "runs").iterdir() if path.name.startswith("small-"))
    assert result.exit_code == 0, result.output
    assert "The policy's evaluation return is 55.0 ± 0.0 over 2 episodes, after 100 steps" in result.stdout
    assert "first evaluation (55.0 ± 0.0, after 50 steps)" in result.stdout
    assert "100 environment steps, 17 updates, 10 episodes" in result.stdout
    assert f"runs/{name}/checkpoints/step-00000100" in result.stdout
    assert f"dream resume {name} -b 'Trainer.steps=200'" in result.stdout
    assert "dream ui, then http://127.0.0.1:5000/#/experiments/" in result.stdout
    assert f"framework.load_policy('{name}')" in result.stdout


def test_the_policy_that_train_names_acts(trained: tuple[Path, Result], after: Call) -> None:
    words = re.search(r"framework\.load_policy\('(.*?)'\)", trained[1].stdout)
    assert words
    policy = framework.load_policy(words[1], device="cpu")
    policy.reset()
    assert policy.act({"count": np.zeros(1, np.float32), "pixels": np.zeros((8, 8, 3), np.uint8)}).shape == (2,)


def test_the_seed_and_the_name_reach_the_run(trained: tuple[Path, Result]) -> None:
    run = next((trained[0] / "runs").glob("small-*-3"))
    assert re.search(r"^Run\.seed = 3 ", (run / "resolved.gin").read_text(), re.MULTILINE)
    assert (run / "overrides.txt").read_text() == "Run.seed=3\nTracking.name='small'\n"


def test_a_run_stands_in_the_place_of_a_recipe_in_show_and_diff(trained: tuple[Path, Result], after: Call) -> None:
    (folder,) = trained[0].glob("runs/small-*")
    for name in ("latest", "small", folder):
        rows = {each["key"]: (each["left"], each["right"]) for each in json.loads(after("diff", TINY, name, "--json").stdout)}
        assert rows == {"Run.seed": ("0", "3"), "Tracking.name": ("None", "'small'")}
    assert after("diff", "latest", folder / "resolved.gin").stdout == "No value differs.\n"
    assert after("show", "latest").stdout == (folder / "operative.gin").read_text()
    elsewhere = after("diff", TINY, "latest", "--folder", "elsewhere")
    assert elsewhere.exit_code == 2
    assert "There is no recipe 'latest'" in elsewhere.stderr
    assert "There is no run 'latest' in " in elsewhere.stderr


def test_the_folder_and_the_seed_reach_each_command_that_takes_a_recipe(call: Call) -> None:
    (Path("elsewhere") / "mlflow.db").mkdir(parents=True)
    result = call("train", TINY, "--folder", "elsewhere", "--seed", 5, "-b", "Trainer.updates=1")
    assert result.exit_code == 0, result.output
    assert len(list(Path("elsewhere").glob("tiny-*-5"))) == 1
    assert not Path("runs").exists()
    assert "Run.seed = 5\n" in call("show", TINY, "--seed", 5).stdout
    assert call("check", TINY, "--seed", 5).exit_code == 0
    assert "Run.seed = 5 at least 0" in call("check", TINY, "--seed", 5, "-b", "Run.environments=-1").stdout


def test_resume_goes_on_and_prints_nothing_but_json(after: Call) -> None:
    result = after("resume", "latest", *bound("Trainer.steps=120"), "--checkpoint", 100, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["steps"] == 120
    assert facts["status"] == "FINISHED"
    assert [each["step"] for each in facts["evaluations"]] == [50, 100, 120]
    assert facts["returns"] == [55.0, 55.0]
    assert Path(facts["checkpoints"]["latest"]).name == "step-00000120"


def test_evaluate_gives_as_many_returns_as_are_asked_for(after: Call) -> None:
    result = after("evaluate", "small", "--episodes", 3, "--json", "--checkpoint", "latest")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert (facts["returns"], facts["lengths"], facts["mean"]) == ([55.0] * 3, [10] * 3, 55.0)


def test_evaluate_takes_the_path_of_a_checkpoint_and_films(trained: tuple[Path, Result], after: Call) -> None:
    checkpoint = next((trained[0] / "runs").glob("small-*/checkpoints/step-*"))
    result = after("evaluate", checkpoint.relative_to(trained[0]), "--episodes", 1, "--seed", 5, "--video", "film.mp4")
    assert result.exit_code == 0, result.output
    assert "Return 55.0 ± 0.0 over 1 episodes" in result.stdout
    assert (trained[0] / "film.mp4").read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["resume", "tiny"], "There is no run 'tiny'"),
        (["evaluate", "smal1"], "the latest are: small-"),
        (["resume", "latest", "--checkpoint", "7"], "There is no checkpoint '7'"),
        (["evaluate", "latest", "--checkpoint", "bst"], "there are: latest, best, step-"),
        (["evaluate", "latest", "--folder", "elsewhere"], "there are no runs at all"),
        (["evaluate", "latest", "--episodes", "0"], "0 is not in the range x>=1"),
        (["resume", "latest", "-b", "Trainer.stps=9"], "did you mean 'steps'"),
        (["evaluate", "latest", "--video", "film.gif"], "must end with .mp4"),
        (["picture", "nothing-like-it"], "nothing-like-it"),
        (["picture", "small", "--checkpoint", "7"], "There is no checkpoint '7'"),
        (["picture", "small", "--kind", "wich"], "'wich' is not one of 'which', 'imagine', 'scores', 'estimate'"),
        (["picture", "small", "--out", "picture.jpg"], "must end with .png"),
    ],
)
def test_what_a_run_does_not_have_is_a_mistake(after: Call, arguments: list[str], words: str) -> None:
    result = after(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_ctrl_c_ends_with_status_130_and_a_run_that_resumes_in_the_folder_that_was_named(tmp_path: Path) -> None:
    without_store(tmp_path / "other")
    endless = bound("Trainer.steps=1000000", "Tracking.console_seconds=0.1", "Run.log_every=10", "Evaluation.every=1000000")
    command = [sys.executable, "-m", "framework", "train", str(TINY), *endless, "--folder", "other/runs"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert first.startswith("step="), errors
    assert process.returncode == 130
    *warnings, last = errors.splitlines()
    assert last == "Stopped by Ctrl-C; nothing that was learned is lost."
    assert all(line.startswith("Warning: ") for line in warnings), errors
    assert re.search(r"^Resume      dream resume tiny-\S+ --folder other/runs$", output, re.MULTILINE)
    (mirror,) = tmp_path.glob("other/runs/tiny-*/metrics.jsonl")
    assert not (tmp_path / "runs").exists()
    assert '"status": "KILLED"' in mirror.read_text().splitlines()[-1]
    assert any(mirror.parent.glob("checkpoints/step-*/progress.json"))


def test_sync_sends_a_run_that_mlflow_lacks(after: Call, trained: tuple[Path, Result]) -> None:
    result = after("sync", "small")
    assert result.exit_code == 0, result.output
    assert re.search(
        r"^All that metrics\.jsonl has of small-.* is in sqlite:.*/runs/mlflow\.db as run [0-9a-f]{32}\.$", result.stdout, re.MULTILINE
    )
    from mlflow import MlflowClient

    run_id = result.stdout.split()[-1].rstrip(".")
    assert MlflowClient(f"sqlite:///{trained[0]}/runs/mlflow.db").get_run(run_id).info.status == "FINISHED"
    with FileLock(framework.find_run("small") / LOCK):
        result = after("sync", "small")
    assert (result.exit_code, "is being trained by process" in result.output) == (2, True)
