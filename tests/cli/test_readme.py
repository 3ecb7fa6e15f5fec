"""The README's commands, run as written; what trains is made short by bindings at the end."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from framework.cli import dream
from framework.cli.lab import lab_command

README = (Path(__file__).parents[2] / "README.md").read_text()
SHORT = ["Trainer.steps=600", "Trainer.prefill=200", "Trainer.pretrain=1", "Trainer.train_ratio=0.1", "Evaluation.episodes=1"]
SHORT += ["Replay.batch=4", "Replay.length=8", "Agent.horizon=3"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("dream ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("command", [each for each in commands() if each[0] not in ("train", "check", "lab")], ids=" ".join)
def test_a_command_of_the_readme_answers(command: list[str]) -> None:
    result = CliRunner().invoke(dream, command)
    assert result.exit_code == 0, result.output
    assert len(result.output) > 40


def test_the_readme_has_the_commands_that_these_tests_look_for() -> None:
    assert sorted({command[0] for command in commands()}) == ["check", "describe", "diff", "lab", "list", "show", "train"]


def test_its_typo_is_named_with_the_nearest_name() -> None:
    (command,) = [each for each in commands() if each[0] == "check"]
    result = CliRunner().invoke(dream, command)
    assert result.exit_code == 2
    assert "GaussianCritic" in result.output


def test_its_training_trains(tmp_path: Path) -> None:
    (command,) = [each for each in commands() if each[0] == "train"]
    short = [part for binding in [*SHORT, f"Tracking.folder='{tmp_path}'"] for part in ("-b", binding)]
    result = CliRunner().invoke(dream, [*command, *short])
    assert result.exit_code == 0, result.output
    assert "dream resume" in result.output


def test_its_component_is_found_beside_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = [block for block in blocks("python") if block.startswith("# far_in_time.py")]
    (recipe,) = [block for block in blocks("gin") if block.startswith("# far_in_time.gin")]
    (tmp_path / "far_in_time.py").write_text(source)
    (tmp_path / "far_in_time.gin").write_text(recipe)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(dream, ["check", "--deep", "far_in_time.gin"])
    assert result.exit_code == 0, result.output


def test_its_python_runs(tmp_path: Path) -> None:
    (source,) = [block for block in blocks("python") if block.startswith("import framework")]
    assert '"Trainer.minutes=12.0"' in source
    shorter = ", ".join(f'"{binding}"' for binding in [*SHORT, f"Tracking.folder='{tmp_path}'"])
    names = {"image": np.zeros((32, 32, 3), np.uint8)}
    exec(source.replace('"Trainer.minutes=12.0"', shorter), names)
    assert names["action"].shape == (1,)


def test_its_laboratory_has_every_measurement() -> None:
    """Each is run in `tests/lab`; here it is known by its name."""
    named = {command[1] for command in commands() if command[0] == "lab"}
    assert named == {*lab_command.commands}
