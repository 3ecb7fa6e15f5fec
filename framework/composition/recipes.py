"""The recipes that are shipped, and the files that their names stand for."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, final

from framework.composition.command_line import quoted
from framework.errors import UserError
from framework.registry import nearest
from framework.text import PACKAGE, read_text

CHECKOUT: Final = PACKAGE.parent
WHEEL: Final = PACKAGE / "_data"


@final
@dataclass(frozen=True)
class Recipe:
    """A shipped recipe: its name, its file, and the comment at its head."""

    name: str
    path: Path
    header: str


@cache
def shipped() -> Path:
    """The folder that holds this project's `gin/`, `recipes/` and `sweeps/`: the checkout, or the data inside a wheel."""
    return CHECKOUT if (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "recipes").is_dir() else WHEEL


def list_recipes() -> list[Recipe]:
    """Every shipped recipe, by name."""
    root = shipped() / "recipes"
    return [Recipe(path.relative_to(root).with_suffix("").as_posix(), path, header(path)) for path in sorted(root.rglob("*.gin"))]


def header(path: Path) -> str:
    """The comment at the head of a gin file, without its `#`."""
    lines: list[str] = []
    for line in read_text(path).split("\n"):
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").removeprefix(" ").rstrip())
    return "\n".join(lines)


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe: a path, or the name of a shipped one with or without `recipes/` and `.gin`."""
    if path := first_file(str(name), [Path.cwd(), shipped(), shipped() / "recipes"]):
        return path
    if "=" in str(name):
        raise UserError(f"'{name}' is no recipe but a binding: write {quoted('-b', str(name))}.")
    names = [recipe.name for recipe in list_recipes()]
    close = nearest(Path(name).name, [path.name for path in Path(name).parent.glob("*.gin")]) or nearest(Path(name).stem, names)
    hint = f"did you mean '{close}'? The" if close else "the"
    raise UserError(f"There is no recipe '{name}'; {hint} recipes here are: {', '.join(names) or 'none'}.")


def first_file(name: str, folders: Sequence[Path]) -> Path | None:
    """The first gin file of a name, with or without its ending, in some folders."""
    for folder in folders:
        candidate = os.path.join(folder, name if name.endswith(".gin") else f"{name}.gin")
        if os.path.isfile(candidate):
            return Path(os.path.realpath(candidate))
    return None
