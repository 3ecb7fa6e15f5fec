"""Where recipes are found, and what is said of those that are shipped."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.composition import check, list_recipes
from framework.composition.includes import find_recipe, header, read
from framework.errors import UserError

Write = Callable[[str, str], Path]
ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").rglob("*.gin"))


def test_every_recipe_that_is_shipped_is_listed_with_its_header() -> None:
    listed = list_recipes()
    assert [recipe.path for recipe in listed] == RECIPES
    assert len(listed) >= 4
    assert all(recipe.header for recipe in listed)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_that_is_shipped_has_no_mistake(path: Path) -> None:
    assert check(path) == []


@pytest.mark.parametrize("name", ["dreamer_v1", "dreamer_v1.gin", "recipes/dreamer_v1.gin", "recipes/dreamer_v1"])
def test_a_recipe_is_found_by_its_name_anywhere(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe(name) == ROOT / "recipes" / "dreamer_v1.gin"


def test_a_recipe_of_the_working_directory_comes_first(write: Write) -> None:
    mine = write("dreamer_v1.gin", "# mine\n")
    assert find_recipe("dreamer_v1") == mine


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"There is no recipe 'dreamer_v1_infonc'; did you mean 'dreamer_v1_infonce'\? .*dreamer_v3"):
        find_recipe("dreamer_v1_infonc")


def test_the_header_is_the_comment_before_the_first_statement(write: Write) -> None:
    path = write("headed.gin", "# One.\n#\n#   Two.\nAgent.horizon = 3\n# not this\n")
    assert header(path) == "One.\n\n  Two."


def test_statements_keep_their_lines_in_blocks_and_over_several_lines(write: Write) -> None:
    write("block.gin", "\nAgent:\n    horizon = 3\n    # a comment\n    scales = {\n        'reward': 1.0,\n    }\nRATE = 2\n")
    found = [(each.key, each.value, each.place.line) for each in read("block.gin").bindings]
    assert found == [("Agent.horizon", 3, 3), ("Agent.scales", {"reward": 1.0}, 5), ("RATE", 2, 8)]


def test_a_wheel_carries_the_recipes_inside(tmp_path: Path) -> None:
    """The layout of the wheel: `gin/` and `recipes/` below `framework/_data`, and gin-config's own folder beside the package."""
    site = tmp_path / "site"
    shutil.copytree(ROOT / "framework", site / "framework", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("gin", "recipes"):
        shutil.copytree(ROOT / folder, site / "framework" / "_data" / folder)
    (site / "pyproject.toml").touch()
    program = (
        "import json\n"
        "from framework.composition import check, list_recipes\n"
        "print(json.dumps([[r.name for r in list_recipes()], [str(p) for p in check('recipes/dreamer_v1.gin')]]))"
    )
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(site)}, cwd=tmp_path, capture_output=True, text=True)
    names, problems = json.loads(done.stdout)
    assert names == [recipe.name for recipe in list_recipes()]
    assert problems == []
