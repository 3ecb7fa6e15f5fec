"""`dream new`: a component of every family that works as it is written."""

import subprocess
import sys
from pathlib import Path

import pytest

import framework
from framework.cli.new import EXTENDABLE
from framework.registry import registry_of
from framework.training.checks import check
from framework.training.dry_run import dry_run
from tests.cli.calls import ROOT, Call, environment


def test_every_family_but_the_fixed_parts_can_be_extended() -> None:
    assert len(EXTENDABLE) == 12
    assert {path.stem for path in (ROOT / "framework" / "scaffold").glob("*.py")} == {*EXTENDABLE}


@pytest.mark.parametrize("family", EXTENDABLE)
def test_what_it_writes_is_checked_built_and_updated_as_it_is(call: Call, family: str) -> None:
    name = f"New{family.title().replace('_', '')}"
    result = call("new", family, name)
    assert result.exit_code == 0, result.output
    module = name.replace("New", "new_").lower() if "_" not in family else f"new_{family}"
    assert {path.name for path in Path().iterdir()} == {f"{module}.py", f"{module}.gin", f"test_{module}.py"}
    assert check(f"{module}.gin") == []
    assert dry_run(framework.compose(f"{module}.gin"))["train/model_loss"]
    cls = registry_of(family).get(name)
    assert cls.__name__ == name
    assert "MyComponent" not in "".join(path.read_text() for path in Path().glob("*new_*"))
    style = [sys.executable, "-m", "ruff", "check", "--config", ROOT / "pyproject.toml", "--ignore", "I001", "."]
    assert subprocess.run(style, capture_output=True, check=False).returncode == 0


def test_what_it_writes_keeps_its_contract_by_the_command_and_under_pytest(call: Call) -> None:
    """`make test-all` has every family."""
    call("new", "negatives", "FarAndWide")
    keeps(call, "negatives", "FarAndWide", "far_and_wide")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "test_far_and_wide.py"], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.nightly
@pytest.mark.parametrize("family", EXTENDABLE)
def test_every_component_that_it_writes_keeps_its_contract(call: Call, family: str) -> None:
    name, module = f"Held{family.title().replace('_', '')}", f"held_{family}"
    call("new", family, name)
    keeps(call, family, name, module)


def keeps(call: Call, family: str, name: str, module: str) -> None:
    result = call("test", name, "--import", module)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{name} keeps the contract of `{family}`: ")


def test_it_says_what_to_do_next(call: Call) -> None:
    lines = call("new", "negatives", "FarAway").output.splitlines()
    assert lines[-4:] == [
        "dream test FarAway --import far_away",
        "dream check far_away.gin --deep",
        "pytest test_far_away.py",
        "dream train far_away.gin -b Trainer.minutes=1.0",
    ]


def test_it_overwrites_nothing(call: Call) -> None:
    assert call("new", "negatives", "FarAway", "--folder", "mine").exit_code == 0
    Path("mine/far_away.py").write_text("mine")
    result = call("new", "bounds", "FarAway", "--folder", "mine")
    assert result.exit_code == 2
    assert "mine/far_away.py is there already" in result.stderr
    assert Path("mine/far_away.py").read_text() == "mine"


MISTAKES = {
    "family": (("negative", "FarAway"), "There is no family 'negative' to extend; did you mean 'negatives'?"),
    "parts": (("parts", "FarAway"), "There is no family 'parts' to extend"),
    "snake case": (("negatives", "far_away"), "'far_away' is no name of a class: write words in CamelCase"),
    "the name that was meant": (("negatives", "far_away"), "did you mean 'FarAway'?"),
    "digits first": (("negatives", "2Far"), "'2Far' is no name of a class"),
    "keyword": (("negatives", "None"), "'None' is no name of a class"),
    "built in": (("negatives", "InBatch"), "negatives.InBatch is built in (framework/negatives/in_batch.py:"),
    "built in elsewhere": (("negatives", "infonce"), "'infonce' is no name of a class"),
    "built in but for the case": (("critics", "Infonce"), "objectives.InfoNCE is built in"),
    "imported": (("actor_critics", "Value"), "'Value' means something else in the component's file"),
    "module of Python": (("critics", "Random"), "random.py would hide the module 'random'"),
    "installed module": (("critics", "Torch"), "torch.py would hide the module 'torch'"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence_and_writes_nothing(call: Call, kind: str) -> None:
    arguments, words = MISTAKES[kind]
    result = call("new", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not [*Path().iterdir()]
