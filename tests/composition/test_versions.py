"""Several versions of a user's modules in one process: each composition has its own, in this process and in workers."""

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from framework.composition import Composition, load, modules, plan
from framework.errors import UserError
from tests.composition.agents import Write

MODULE = """
from versions_helper import SIZE
from framework import negatives
from framework.negatives.base import Negatives


@negatives.register
class {name}(Negatives):
    size = SIZE

    def choose(self, contrast, key):
        import versions_later
        return versions_later.SCALE * contrast
"""


@pytest.fixture
def project(write: Write, tmp_path: Path) -> Callable[..., Path]:
    """Writes a recipe of an agent with a strategy of its own, whose module has a helper and imports another one later."""

    def make(folder: str, size: int, scale: int = 1, *, name: str = "VersionsNegatives", module: str = "versions_mine") -> Path:
        home = tmp_path / folder
        home.mkdir(exist_ok=True)
        (home / f"{module}.py").write_text(MODULE.format(name=name))
        (home / "versions_helper.py").write_text(f"SIZE = {size}\n")
        (home / "versions_later.py").write_text(f"SCALE = {scale}\n")
        (home / "recipe.gin").write_text(f"import {module}\ninclude '{tmp_path}/agent.gin'\nInfoNCE.negatives = @negatives.{name}\n")
        return home / "recipe.gin"

    return make


@pytest.fixture(autouse=True)
def forgotten() -> Any:
    """Forget the modules of a test afterwards."""
    before, path = {*sys.modules}, [*sys.path]
    yield
    for name in {*sys.modules} - before:
        if "versions_" in name or "dream_version" in name:
            del sys.modules[name]
    for name in [each for each in modules._loaded_texts if each.startswith("versions_")]:
        del modules._loaded_texts[name]
    sys.path[:] = path


def strategy(composed: Composition) -> Any:
    """The class of the agent's strategy."""
    return composed.root.keywords["objectives"][0].keywords["negatives"].func


def agent(recipe: Path) -> Composition:
    return load(recipe, root="parts.Agent")


def results(composed: Composition) -> tuple[int, int]:
    """What the class took from its helper, and what a method imports only when it is called."""
    made = strategy(composed)
    return made.size, made().choose(10, None)


def test_each_composition_has_the_modules_of_its_own_folder(project: Callable[..., Path]) -> None:
    one = agent(project("one", 1, 2))
    two = agent(project("two", 3, 4))
    again = agent(project("one", 1, 2))
    assert [results(each) for each in (one, two, again)] == [(1, 20), (3, 40), (1, 20)]
    assert strategy(one) is strategy(again)
    assert strategy(one) is not strategy(two)
    assert {Path(file).parent.name for file in one.modules.values()} == {"one"}
    assert {Path(file).parent.name for file in two.modules.values()} == {"two"}
    assert one.resolved.splitlines()[0] == two.resolved.splitlines()[0] == "import versions_mine"


def test_a_helper_that_differs_is_enough_even_one_that_is_imported_later(project: Callable[..., Path]) -> None:
    one, two, three = agent(project("one", 1, 1)), agent(project("two", 1, 2)), agent(project("three", 5, 2))
    assert [results(each) for each in (one, two, three)] == [(1, 10), (1, 20), (5, 20)]


def test_equal_text_is_one_module(project: Callable[..., Path]) -> None:
    one, two = agent(project("one", 1)), agent(project("copy", 1))
    assert strategy(one) is strategy(two)
    assert strategy(one).__module__ == "versions_mine"


@pytest.mark.parametrize("imported_before", [False, True])
def test_an_edited_module_is_imported_anew(
    project: Callable[..., Path], imported_before: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = project("one", 1)
    if imported_before:
        monkeypatch.setattr(sys, "dont_write_bytecode", False)
        monkeypatch.syspath_prepend(str(recipe.parent))
        import versions_helper  # type: ignore[import-not-found]

        assert versions_helper.SIZE == 1
    else:
        before = agent(recipe)
        assert results(before) == (1, 10)
    after = agent(project("one", 200))
    assert results(after) == (200, 10)
    newest = agent(project("one", 201))  # in the same second, and of the same length
    assert results(newest) == (201, 10)


def test_components_of_one_name_in_two_modules_are_those_of_each_recipe(project: Callable[..., Path]) -> None:
    one, two = agent(project("one", 1, module="versions_a")), agent(project("two", 2, module="versions_b"))
    again = agent(project("one", 1, module="versions_a"))
    assert [results(each)[0] for each in (one, two, again)] == [1, 2, 1]


def test_two_components_of_one_name_in_one_recipe_are_refused_in_any_order(project: Callable[..., Path]) -> None:
    one, other = project("one", 1, module="versions_a"), project("one", 1, module="versions_b")
    agent(one)
    agent(other)
    assert one == other
    for first, second in (("versions_a", "versions_b"), ("versions_b", "versions_a")):
        problem = plan(one, imports=[first, second], root="parts.Agent").problems[0]
        assert "negatives.VersionsNegatives is registered twice" in problem.message


def test_a_version_pickles_and_copies(project: Callable[..., Path]) -> None:
    agent(project("one", 1))
    two = agent(project("two", 3))
    factory = two.root.keywords["objectives"][0].keywords["negatives"]
    assert pickle.loads(pickle.dumps(factory)).func is strategy(two)
    assert type(pickle.loads(pickle.dumps(factory()))) is strategy(two)
    assert type(copy.deepcopy(factory())) is strategy(two)


def test_another_process_finds_each_version(project: Callable[..., Path], tmp_path: Path) -> None:
    factories = [agent(project(*each)).root.keywords["objectives"][0].keywords["negatives"] for each in (("one", 1, 2), ("two", 3, 4))]
    (tmp_path / "factories.pkl").write_bytes(pickle.dumps(factories))
    code = "import pickle, sys\nfor each in pickle.load(open(sys.argv[1], 'rb')):\n    print(each.func.size, each().choose(10, None))"
    command = [sys.executable, "-c", code, str(tmp_path / "factories.pkl")]
    paths = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    run = subprocess.run(command, env=os.environ | paths, capture_output=True, text=True, check=True, cwd=tmp_path / "two")
    assert run.stdout.split() == ["1", "20", "3", "40"]


def test_a_version_compiles(project: Callable[..., Path]) -> None:
    agent(project("one", 1))
    choose = strategy(agent(project("two", 3, 4)))().choose
    compiled = torch.compile(lambda value: choose(value, None), backend="eager")
    assert torch.equal(compiled(torch.ones(2)), torch.full((2,), 4.0))


def test_an_edited_module_that_fails_names_its_own_line(project: Callable[..., Path]) -> None:
    recipe = project("one", 1)
    agent(recipe)
    (recipe.parent / "versions_helper.py").write_text("SIZE = 1\n\nraise ValueError('no')\n")
    with pytest.raises(UserError, match=r"importing 'versions_mine' failed at .*one/versions_helper.py:3: ValueError: no"):
        agent(recipe)
    assert results(agent(project("one", 2))) == (2, 10)
