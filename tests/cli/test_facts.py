"""What the commands print of components and recipes, as tables and as JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from framework.cli import COMMANDS, Dream, dream
from framework.cli.recipes import header_fields
from framework.registry import components
from framework.signatures import FAMILIES
from tests.cli.calls import PIXELS, ROOT, TINY, Call, bound, environment, spawn


def test_critics_and_values_are_told_apart(call: Call) -> None:
    critics, values = call("list", "critics").stdout, call("list", "values").stdout
    assert "Contrastive scores f(s, o)" in critics.splitlines()[0]
    assert "value functions are under `values`" in critics.splitlines()[0]
    assert "Value functions of reinforcement learning" in values.splitlines()[0]
    assert "contrastive scores f(s, o) are under `critics`" in values.splitlines()[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_list_names_every_component_with_its_place(call: Call, family: str) -> None:
    lines = call("list", family).stdout.splitlines()[3:]
    assert [line.split()[0] for line in lines] == list(components(family))
    assert all(line.split()[-1].rpartition(":")[2].isdigit() for line in lines)


def test_list_shows_a_module_of_ones_own(call: Call) -> None:
    Path("my_negatives.py").write_text(
        "from framework import negatives\n\n\n@negatives.register\nclass Nearby(negatives.Negatives):\n"
        '    """Those close by."""\n\n    def choose(self, contrast, key):\n        return contrast\n'
    )
    run = spawn("list", "negatives", "--import", "my_negatives", folder=Path.cwd())
    assert "Nearby" in run.stdout
    assert "my_negatives.py:" in run.stdout


def test_a_plugin_that_fails_is_a_row(tmp_path: Path) -> None:
    package = tmp_path / "broken-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[framework.components]\nbroken = no_such_module\n")
    run = spawn("list", folder=tmp_path, PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1].split()[:3] == ["no_such_module", "broken", "ModuleNotFoundError:"]


@pytest.mark.parametrize("family", FAMILIES)
def test_describe_shows_each_parameter(call: Call, family: str) -> None:
    component = next(iter(components(family).values()))
    facts = json.loads(call("describe", component.selector, "--json").stdout)
    assert [each["name"] for each in facts["parameters"]] == [each.name for each in component.parameters]
    assert facts["held_by"] or component.selector == "parts.Run"
    assert facts["doc"]


def test_describe_gives_the_facts_and_the_recipes_that_use_it(call: Call) -> None:
    lines = call("describe", "GaussianCritic").stdout.splitlines()
    assert lines[0].startswith("critics.GaussianCritic  framework/critics/gaussian_critic.py:")
    assert any(line.startswith("Facts") and "normalized_over = 'latent'" in line for line in lines)
    assert any(line.startswith("Bound by") and "InfoNCE.critic" in line for line in lines)
    assert any(line.startswith("Recipes") and "dreamer_v1_infonce" in line and "dreamer_v1_reward_only" not in line for line in lines)
    assert any(line.split()[:2] == ["latent", "LatentSpec"] and line.endswith("passed by Python") for line in lines)
    assert any(line.split() == ["minimum_std", "float", "0.1"] for line in lines)


def test_recipes_come_with_what_to_expect(call: Call) -> None:
    facts = {each["name"]: each for each in json.loads(call("recipes", "--json").stdout)}
    assert {path.relative_to(ROOT / "recipes").with_suffix("").as_posix() for path in (ROOT / "recipes").rglob("*.gin")} == set(facts)
    assert "walker_walk 956" in facts["dreamer_v1"]["expected"]
    assert all(each["summary"] and each["expected"] for each in facts.values())


def test_a_field_of_a_header_goes_on_where_it_is_indented() -> None:
    header = "What it is.\n\nExpected  one line\n          and another\nHardware  a laptop"
    assert header_fields(header) == {"summary": "What it is.", "expected": "one line and another", "hardware": "a laptop"}


def test_check_finds_nothing_wrong_with_shipped_recipes(call: Call) -> None:
    result = call("check", "dreamer_v1", "dreamer_v3_infonce", *bound("Replay.capacity=10000"))
    assert result.exit_code == 0, result.output
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == ["dreamer_v1", "dreamer_v3_infonce"]


def test_check_gives_problems_as_json(call: Call) -> None:
    result = call("check", TINY, "no_such", *bound("Trainer.stps=3"), "--json")
    assert result.exit_code == 2
    first, second = json.loads(result.stdout)
    assert first["problems"][0]["line"] == 1
    assert "did you mean 'steps'" in first["problems"][0]["message"]
    assert "There is no recipe 'no_such'" in second["problems"][0]["message"]


def test_a_deep_check_takes_an_update_on_pixels_and_writes_nothing(call: Call) -> None:
    result = call("check", TINY, "--deep", *bound(*PIXELS))
    assert result.exit_code == 0, result.output
    assert "it builds and trains" in result.stdout
    assert list(Path.cwd().iterdir()) == []


def test_a_deep_check_finds_a_loss_that_is_no_number(call: Call) -> None:
    deep = call("check", TINY, "--deep", *bound("InfoNCE.scale=1e300"))
    assert deep.exit_code == 2
    assert "The first update gives what is no number" in deep.stdout


def test_what_show_prints_is_the_same_recipe(call: Call) -> None:
    text = call("show", TINY, *bound("Replay.batch=3")).stdout
    Path("copy.gin").write_text(text)
    assert call("show", "copy.gin").stdout == text
    assert "Replay.batch = 3\n" in text
    assert call("diff", TINY, "copy.gin").stdout.splitlines()[1].split() == ["Replay.batch", "4", "3"]


def test_show_adds_what_ranks_have_together(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an option, or under torchrun; the output stays a recipe."""
    shown = call("show", "dreamer_v3", "--ranks", "8").stdout
    whole = "# 8 ranks together: 128 environments, a replay of 8,000,000 steps, and updates of 128 sequences, 8,192 steps."
    assert whole in shown.splitlines()
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert call("show", "dreamer_v3").stdout == shown
    monkeypatch.delenv("WORLD_SIZE")
    assert "ranks" not in call("show", "dreamer_v3").stdout


def test_show_says_where_each_value_came_from(call: Call) -> None:
    lines = call("show", "dreamer_v1", "--provenance").stdout.splitlines()
    assert any(line.startswith("Agent.horizon = 15  # gin/actor_critics/dynamics_backprop.gin:") for line in lines)
    facts = json.loads(call("show", "dreamer_v1", "--json").stdout)
    assert facts["Agent.horizon"] == {"value": "15", "default": False, "place": "gin/actor_critics/dynamics_backprop.gin:4"}
    assert facts["Run.seed"]["default"] is True


def test_diff_as_json_has_both_sides(call: Call) -> None:
    facts = {each["key"]: each for each in json.loads(call("diff", "dreamer_v1", "dreamer_v1_reward_only", "--json").stdout)}
    assert facts["Agent.objectives"] == {"key": "Agent.objectives", "left": "[@objectives.Reconstruction]", "right": "[]"}


def test_doctor_finds_this_machine_fit(call: Call) -> None:
    result = call("doctor", "--json")
    facts = {each["name"]: each for each in json.loads(result.stdout)}
    assert {"python", "torch", "mujoco", "dm_control", "gin", "device", "opengl", "mlflow store", "disk"} <= set(facts)
    assert [name for name, each in facts.items() if each["verdict"] == "broken"] == []
    assert result.exit_code == 0
    assert list(Path.cwd().iterdir()) == []


def test_doctor_notes_a_server_that_does_not_answer(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    facts = {each["name"]: each for each in json.loads(call("doctor", "--json").stdout)}
    assert facts["mlflow store"]["verdict"] == "note"
    assert "does not answer" in facts["mlflow store"]["what"]


def test_every_command_says_the_same_in_both_helps(call: Call) -> None:
    context = dream.make_context("dream", ["list"], resilient_parsing=True)
    assert isinstance(dream, Dream)
    for name, (_, summary) in COMMANDS.items():
        command = dream.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert (command.help or "").splitlines()[0] == summary
        assert f"\n  dream {name}" in call(name, "--help").stdout


def test_warnings_are_one_line_and_chatter_is_silent(tmp_path: Path) -> None:
    program = (
        "import logging, warnings; from framework.cli.warnings import quieten; quieten(); quieten()\n"
        "warnings.warn('pynvml is deprecated', FutureWarning); logging.getLogger('alembic').info('Context impl')\n"
        "logging.getLogger('framework.tracking').warning('first\\nsecond'); warnings.warn('a\\nb')\n"
    )
    run = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True)
    assert run.stderr == "Warning: first second\nWarning: a b\n"
