"""The README's commands, run as written; what trains is made short by bindings at the end."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from framework.cli import dream
from framework.cli.lab import lab_command
from tests.cli.calls import bound, without_store

README = (Path(__file__).parents[2] / "README.md").read_text()
SHORT = ["Trainer.steps=300", "Trainer.prefill=100", "Trainer.pretrain=1", "Trainer.train_ratio=0.1", "Evaluation.episodes=1"]
SHORT += ["Replay.batch=4", "Replay.length=8", "Agent.horizon=3", "DMControl.action_repeat=10"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shortened(folder: Path) -> list[str]:
    """Bindings for a short training that is recorded below a folder."""
    without_store(folder)
    return [*SHORT, f"Tracking.folder='{folder}/runs'"]


def commands() -> list[list[str]]:
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("dream ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("command", [each for each in commands() if each[0] not in ("train", "check", "lab", "sweep")], ids=" ".join)
def test_a_command_of_the_readme_answers(command: list[str]) -> None:
    result = CliRunner().invoke(dream, command)
    assert result.exit_code == 0, result.output
    assert len(result.output) > 40


def test_its_typo_is_named_with_the_nearest_name() -> None:
    (command,) = [each for each in commands() if each[0] == "check"]
    result = CliRunner().invoke(dream, command)
    assert result.exit_code == 2
    assert "GaussianCritic" in result.output


def test_its_sweep_is_of_two_recipes_two_tasks_and_three_seeds() -> None:
    (command,) = [each for each in commands() if each[0] == "sweep"]
    result = CliRunner().invoke(dream, [*command, "--dry-run", "--json"])
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["minutes"]) == 12


def test_its_training_trains(tmp_path: Path) -> None:
    (command,) = [each for each in commands() if each[0] == "train"]
    result = CliRunner().invoke(dream, [*command, *bound(*shortened(tmp_path))])
    assert result.exit_code == 0, result.output
    assert "dream resume" in result.output


def test_its_component_beside_its_recipe_trains_in_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = [block for block in blocks("python") if block.startswith("# far_in_time.py")]
    (recipe,) = [block for block in blocks("gin") if block.startswith("# far_in_time.gin")]
    (tmp_path / "far_in_time.py").write_text(source)
    (tmp_path / "far_in_time.gin").write_text(recipe)
    monkeypatch.chdir(tmp_path)
    bindings = [*shortened(tmp_path), "FarInTime.steps=3"]
    result = CliRunner().invoke(dream, ["train", "far_in_time.gin", *bound(*bindings)])
    assert result.exit_code == 0, result.output
    assert len(list(tmp_path.glob("runs/*/code/far_in_time.py"))) == 1


def test_its_python_runs(tmp_path: Path) -> None:
    (source,) = [block for block in blocks("python") if block.startswith("import framework")]
    short, long = str(shortened(tmp_path)), '{"Trainer.minutes": 12.0, "Run.seed": 1}'
    assert long in source
    names = {"image": np.zeros((32, 32, 3), np.uint8)}
    exec(source.replace(long, short).replace("episodes=10", "max_steps=20"), names)
    assert (len(names["played"].returns), names["action"].shape) == (1, (1,))
    (notebook,) = [block for block in blocks("python") if block.startswith("import torch")]
    exec(notebook.replace('compose("quickstart"', f'compose("quickstart", {short}'), names)
    assert "train/model_loss" in names["metrics"]


def test_it_shows_every_kind_of_command_and_every_measurement_of_the_laboratory() -> None:
    assert {command[0] for command in commands()} == {"check", "describe", "diff", "lab", "list", "show", "sweep", "train"}
    assert {command[1] for command in commands() if command[0] == "lab"} == {*lab_command.commands}
