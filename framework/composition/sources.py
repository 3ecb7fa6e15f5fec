"""Where recipes and their includes are, and what their files say, in the order in which it holds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from framework.composition.problems import Place, Problem
from framework.composition.statements import Binding, Import, Include, parse
from framework.errors import UserError
from framework.registry import nearest
from framework.signatures import PACKAGE, display

CHECKOUT: Final = PACKAGE.parent
WHEEL: Final = PACKAGE / "_data"


@final
@dataclass(frozen=True)
class Recipe:
    """A recipe that is shipped: its name, its file, and the comment at its head."""

    name: str
    path: Path
    header: str


@final
@dataclass
class Program:
    """All that a recipe says, its includes and the command line included; what comes later overrides what came before."""

    recipe: Path
    bindings: list[Binding] = field(default_factory=list)
    imports: list[tuple[Import, Path]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    whole: bool = True
    """Whether every include was found; else nothing can be said of what is absent or idle."""


def shipped() -> Path:
    """The folder that holds this project's `gin/` and `recipes/`: the checkout, or the data inside a wheel."""
    return CHECKOUT if (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "recipes").is_dir() else WHEEL


def list_recipes() -> list[Recipe]:
    """Every recipe that is shipped, by name."""
    root = shipped() / "recipes"
    return [Recipe(path.relative_to(root).with_suffix("").as_posix(), path, header(path)) for path in sorted(root.rglob("*.gin"))]


def header(path: Path) -> str:
    """The comment at the head of a gin file, without its `#`."""
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").removeprefix(" ").rstrip())
    return "\n".join(lines)


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe: a path, or the name of a shipped one with or without `recipes/` and `.gin`."""
    if found := _first_file(str(name), [Path.cwd(), shipped(), shipped() / "recipes"]):
        return found
    names = [recipe.name for recipe in list_recipes()]
    close = nearest(Path(name).stem, names)
    hint = f"did you mean '{close}'? The" if close else "the"
    raise UserError(f"There is no recipe '{name}'; {hint} recipes here are: {', '.join(names) or 'none'}.")


def read(recipe: str | Path, bindings: Sequence[str] = (), imports: Sequence[str] = ()) -> Program:
    """Everything that holds for a run of this recipe, in order."""
    path = find_recipe(recipe)
    program = Program(recipe=path)
    _read_file(path, program, chain=())
    for number, module in enumerate(imports, 1):
        program.imports.append((Import(module, Place(f"--import {module}", number)), path))
    for number, text in enumerate(bindings, 1):
        statements, problems = parse(text, f"-b '{text}'", number=number)
        program.problems += problems
        for statement in statements:
            if isinstance(statement, Binding):
                program.bindings.append(statement)
            else:
                message = "only bindings can be given here: put `include` into a recipe, and use --import for a module."
                program.problems.append(Problem.at(statement.place, message))
    return program


def _read_file(path: Path, program: Program, chain: tuple[Path, ...]) -> None:
    program.files.append(path)
    statements, problems = parse(path.read_text(encoding="utf-8"), display(path))
    program.problems += problems
    first: dict[str, Binding] = {}
    for statement in statements:
        match statement:
            case Import():
                program.imports.append((statement, path))
            case Include():
                if first:
                    message = "includes come first: move this line above the first binding of the file."
                    program.problems.append(Problem.at(statement.place, message))
                _read_include(statement, program, (*chain, path))
            case Binding():
                if earlier := first.get(statement.key):
                    message = f"{statement.key} is bound twice in this file: on line {earlier.place.line} and here."
                    program.problems.append(Problem.at(statement.place, message))
                first[statement.key] = statement
                program.bindings.append(statement)


def _read_include(include: Include, program: Program, chain: tuple[Path, ...]) -> None:
    folders = [chain[-1].parent, *_shipped_folders()]
    found = _first_file(include.file, folders)
    program.whole &= found is not None and found not in chain
    if found is None:
        choices = {path.relative_to(folder).as_posix() for folder in folders for path in _gin_files(folder)}
        close = nearest(include.file, choices)
        hint = f"; the nearest that exists is '{close}'" if close else ""
        message = f"there is no file '{include.file}' beside this one or in {display(shipped())}{hint}."
        program.problems.append(Problem.at(include.place, message))
    elif found in chain:
        cycle = " -> ".join(display(each) for each in (*chain[chain.index(found) :], found))
        other = _first_file(include.file, [folder for folder in folders if found.parent != folder.resolve()])
        hint = f"; if you mean another file, write include '{_shipped_name(other)}'" if other and other not in chain else ""
        program.problems.append(Problem.at(include.place, f"the includes go around in a circle: {cycle}{hint}."))
    else:
        _read_file(found, program, chain)


def _shipped_name(path: Path) -> str:
    return path.relative_to(shipped().resolve()).as_posix() if path.is_relative_to(shipped().resolve()) else display(path)


def _shipped_folders() -> list[Path]:
    root = shipped()
    return [root, root / "gin", root / "recipes"]


def _gin_files(folder: Path) -> list[Path]:
    """The gin files that a misspelt include may mean: down to two folders below, since a recipe may lie in a home directory."""
    return [path for pattern in ("*.gin", "*/*.gin", "*/*/*.gin") for path in folder.glob(pattern)]


def _first_file(name: str, folders: Sequence[Path]) -> Path | None:
    for folder in folders:
        for candidate in (folder / name, folder / f"{name}.gin"):
            if candidate.is_file() and candidate.suffix == ".gin":
                return candidate.resolve()
    return None
