"""Where recipes and their includes are, and what their files say, in the order in which it holds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from framework.composition.parser import Binding, Import, Include, Unreadable, parse
from framework.composition.problems import Place, Problem
from framework.errors import UserError
from framework.registry import advice, nearest
from framework.signatures import PACKAGE, display

CHECKOUT: Final = PACKAGE.parent
WHEEL: Final = PACKAGE / "_data"
MACRO: Final = re.compile(r"%([A-Za-z_]\w*)")


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
    known: Mapping[str, Binding] = field(default_factory=dict)
    """The macros that includes may read."""
    asked: dict[str, Place] = field(default_factory=dict)
    """The macros that includes read, and the first that did."""
    chosen: list[tuple[Binding, Path]] = field(default_factory=list)
    """The files that a macro chose, each with the macro that did."""

    def macros(self) -> dict[str, Binding]:
        """Every macro by its name, as it holds in the end."""
        return {each.selector: each for each in self.bindings if not each.parameter}


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
    """Everything that holds for a run of this recipe, in order.

    `include 'sizes/%size.gin'` takes the value of the macro that holds in the end, which the command line may give: files are read again
    until every macro that chooses one is known.
    """
    path = find_recipe(recipe)
    known: dict[str, Binding] = {}
    while True:
        program = _read_once(path, bindings, imports, known)
        macros = program.macros()
        found = {name: macros[name] for name in program.asked if name in macros and name not in known}
        fresh = {name: macro for name, macro in found.items() if isinstance(macro.value, str)}
        if not fresh:
            program.problems += _unsettled(program, macros)
            program.chosen = list(dict.fromkeys((macros[macro.selector], file) for macro, file in program.chosen))
            return program
        known |= fresh


def _read_once(path: Path, bindings: Sequence[str], imports: Sequence[str], known: Mapping[str, Binding]) -> Program:
    program = Program(recipe=path, known=known)
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


def _unsettled(program: Program, macros: Mapping[str, Binding]) -> list[Problem]:
    """What is wrong with the macros that choose files: there is none of that name, it is no text, or what it chose changes it."""
    problems = []
    for name, place in program.asked.items():
        macro, known = macros.get(name), program.known.get(name)
        if macro is None:
            problems.append(Problem.at(place, f"the include reads the macro %{name}, which nothing defines{advice(name, macros)}."))
        elif known is None and not isinstance(macro.value, Unreadable):
            message = f"{name} = {macro.value} chooses a file for the include at {place}, so it must be text in quotes."
            problems.append(Problem.at(macro.place, message))
        elif known is not None and known.place != macro.place:
            problems.append(Problem.at(macro.place, f"{name} chose this file for the include at {place}, so it cannot be set here."))
    return problems


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
    names = MACRO.findall(include.file)
    program.asked |= {name: include.place for name in names if name not in program.asked}
    if any(name not in program.known for name in names):
        program.whole = False
        return
    macros = [program.known[name] for name in names]
    file = MACRO.sub(lambda name: program.known[name[1]].value, include.file)
    found = _first_file(file, folders)
    program.whole &= found is not None and found not in chain
    if found is None:
        program.problems.append(_not_chosen(include, macros, folders) if macros else _not_found(include, folders))
    elif found in chain:
        cycle = " -> ".join(display(each) for each in (*chain[chain.index(found) :], found))
        other = _first_file(file, [folder for folder in folders if found.parent != folder.resolve()])
        hint = f"; if you mean another file, write include '{_shipped_name(other)}'" if other and other not in chain else ""
        program.problems.append(Problem.at(include.place, f"the includes go around in a circle: {cycle}{hint}."))
    else:
        program.chosen += [(macro, found) for macro in macros]
        _read_file(found, program, chain)


def _not_found(include: Include, folders: Sequence[Path]) -> Problem:
    choices = {path.relative_to(folder).as_posix() for folder in folders for path in _gin_files(folder)}
    close = nearest(include.file, choices)
    hint = f"; the nearest that exists is '{close}'" if close else ""
    return Problem.at(include.place, f"there is no file '{include.file}' beside this one or in {display(shipped())}{hint}.")


def _not_chosen(include: Include, macros: Sequence[Binding], folders: Sequence[Path]) -> Problem:
    """The last macro is the one to blame; the values that it could have had are those of the files that there are."""
    macro = macros[-1]
    known = {each.selector: each.value for each in macros if each is not macro}
    pattern = MACRO.sub(lambda name: known.get(name[1], "*"), include.file.removesuffix(".gin")) + ".gin"
    head, _, tail = pattern.partition("*")
    paths = {path.relative_to(folder).as_posix() for folder in folders for path in folder.glob(pattern)}
    values = sorted((path[len(head) : len(path) - len(tail)] for path in paths), key=lambda value: (len(value), value))
    wrong = f"{macro.selector} = {macro.value!r} chooses no file for include '{include.file}' at {include.place}"
    return Problem.at(macro.place, f"{wrong}{advice(macro.value, values)}.")


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
