"""The guide to the environments is true: its commands and recipes pass the check."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from framework.composition import check
from tests.members import ROOT

GUIDE = (ROOT / "docs" / "guides" / "environments.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    dream train (.*)$", GUIDE, re.MULTILINE)
RECIPES = re.findall(r"```gin\n(.*?)```", GUIDE, re.DOTALL)


def test_it_has_commands_and_recipes():
    assert (len(COMMANDS), len(RECIPES)) == (4, 2)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("train", "test"):
        Path("films", folder).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(Path("films", folder, "one.png"))
    recipe, *options = shlex.split(command)
    assert set(options[::2]) == {"-b"}
    assert [str(problem) for problem in check(recipe, options[1::2])] == []


@pytest.mark.parametrize("text", RECIPES)
def test_every_recipe_is_right(text, tmp_path):
    recipe = tmp_path / "recipe.gin"
    recipe.write_text(text)
    assert [str(problem) for problem in check(recipe)] == []
