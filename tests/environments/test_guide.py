"""The guide to the environments: its commands and recipes pass the check."""

import re
import shlex
from pathlib import Path

from PIL import Image

from framework.composition import check
from tests.members import ROOT

GUIDE = (ROOT / "docs" / "guides" / "environments.md").read_text(encoding="utf-8")


def test_every_command_and_every_recipe_is_right(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("train", "test"):
        Path("films", folder).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(Path("films", folder, "one.png"))
    cases = []
    for command in re.findall(r"^    dream train (.*)$", GUIDE, re.MULTILINE):
        recipe, *options = shlex.split(command)
        assert set(options[::2]) == {"-b"}
        cases.append((recipe, options[1::2]))
    for index, text in enumerate(re.findall(r"```gin\n(.*?)```", GUIDE, re.DOTALL)):
        Path(f"{index}.gin").write_text(text)
        cases.append((Path(f"{index}.gin"), []))
    assert len(cases) == 6
    assert [str(problem) for recipe, overrides in cases for problem in check(recipe, overrides)] == []
