"""The program of a recipe: the statements of its file, of its includes and of the command line, in the order of their effect."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from framework.composition.command_line import parse_binding
from framework.composition.parser import Binding, Import, Include, parse
from framework.composition.problems import Problem
from framework.composition.recipes import find_recipe, first_file, shipped
from framework.composition.values import Unreadable
from framework.errors import Place, UserError
from framework.registry import advice, nearest
from framework.text import display, read_text

MACRO: Final = re.compile(r"%([A-Za-z_]\w*)")


@final
@dataclass
class Program:
    """All statements of a recipe, its includes and the command line included; later ones override earlier ones."""

    recipe: Path
    macros_of_includes: Mapping[str, Binding]
    """The macros whose values the paths of includes may use."""
    bindings: list[Binding] = field(default_factory=list)
    imports: list[tuple[Import, Path]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    is_complete: bool = True
    """Whether every include was found; otherwise missing and unused names are not reported."""
    requested: dict[str, Place] = field(default_factory=dict)
    """The macros that paths of includes use, each with the first include that does."""
    chosen: list[tuple[Binding, Path]] = field(default_factory=list)
    """The files that a macro chose, each with the macro."""

    def macros(self) -> dict[str, Binding]:
        """Every macro by its name, as it is in effect."""
        return {each.selector: each for each in self.bindings if not each.parameter}


def read(recipe: str | Path, bindings: Sequence[str] = (), imports: Sequence[str] = ()) -> Program:
    """The program of a recipe.

    `include 'sizes/%size.gin'` takes the value of the macro that is in effect, which the command line may set: files are read again
    until every macro in the path of an include is resolved.
    """
    path = find_recipe(recipe)
    resolved: dict[str, Binding] = {}
    while True:
        program = _read_once(path, bindings, imports, resolved)
        macros = program.macros()
        new = {name: macros[name] for name in program.requested if name in macros and name not in resolved}
        new = {name: macro for name, macro in new.items() if isinstance(macro.value, str)}
        if not new:
            program.problems += _unresolved(program, macros)
            program.chosen = list(dict.fromkeys((macros[macro.selector], file) for macro, file in program.chosen))
            return program
        resolved |= new


def _read_once(path: Path, bindings: Sequence[str], imports: Sequence[str], macros: Mapping[str, Binding]) -> Program:
    program = Program(recipe=path, macros_of_includes=macros)
    _read_file(path, program, chain=())
    for number, module in enumerate(imports, 1):
        program.imports.append((Import(module, Place(f"--import {module}", number)), path))
    for number, text in enumerate(bindings, 1):
        statements, problems = parse_binding(text, number)
        program.bindings += statements
        program.problems += problems
    return program


def _unresolved(program: Program, macros: Mapping[str, Binding]) -> list[Problem]:
    """Problems of the macros that choose files: none of that name, no text, or changed by the file that it chose."""
    problems = []
    for name, place in program.requested.items():
        macro, used = macros.get(name), program.macros_of_includes.get(name)
        if macro is None:
            problems.append(Problem.at(place, f"the include reads the macro %{name}, which nothing defines{advice(name, macros)}."))
        elif used is None and not isinstance(macro.value, Unreadable):
            message = f"{name} = {macro.value} chooses a file for the include at {place}, so it must be text in quotes."
            problems.append(Problem.at(macro.place, message))
        elif used is not None and used.place != macro.place:
            problems.append(Problem.at(macro.place, f"{name} chose this file for the include at {place}, so it cannot be set here."))
    return problems


def _read_file(path: Path, program: Program, chain: tuple[Path, ...]) -> None:
    program.files.append(path)
    try:
        statements, problems = parse(read_text(path), display(path))
    except UserError as error:
        program.problems.append(Problem.at(error.place or Place(display(path), 1), error.message))
        program.is_complete = False
        return
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
    root = shipped()
    folders = [chain[-1].parent, root, root / "gin", root / "recipes"]
    names = MACRO.findall(include.file)
    for name in names:
        program.requested.setdefault(name, include.place)
    if any(name not in program.macros_of_includes for name in names):
        program.is_complete = False
        return
    macros = [program.macros_of_includes[name] for name in names]
    name = MACRO.sub(lambda match: program.macros_of_includes[match[1]].value, include.file)
    path = first_file(name, folders)
    program.is_complete &= path is not None and path not in chain
    if path is None:
        program.problems.append(_not_chosen(include, macros, folders) if macros else _not_found(include, folders))
    elif path in chain:
        circle = " -> ".join(display(each) for each in (*chain[chain.index(path) :], path))
        program.problems.append(Problem.at(include.place, f"the includes go around in a circle: {circle}."))
    else:
        program.chosen += [(macro, path) for macro in macros]
        _read_file(path, program, chain)


def _not_found(include: Include, folders: Sequence[Path]) -> Problem:
    patterns = ("*.gin", "*/*.gin", "*/*/*.gin")  # two folders deep at most, since a recipe may lie in a home directory
    choices = {path.relative_to(folder).as_posix() for folder in folders for pattern in patterns for path in folder.glob(pattern)}
    close = nearest(include.file, choices)
    hint = f"; the nearest that exists is '{close}'" if close else ""
    return Problem.at(include.place, f"there is no file '{include.file}' beside this one or in {display(shipped())}{hint}.")


def _not_chosen(include: Include, macros: Sequence[Binding], folders: Sequence[Path]) -> Problem:
    """The value of the last macro is the mistake; the valid values are those for which there is a file."""
    macro = macros[-1]
    values = {each.selector: each.value for each in macros if each is not macro}
    pattern = MACRO.sub(lambda match: values.get(match[1], "*"), include.file.removesuffix(".gin")) + ".gin"
    head, _, tail = pattern.partition("*")
    paths = {path.relative_to(folder).as_posix() for folder in folders for path in folder.glob(pattern)}
    valid = sorted((path[len(head) : len(path) - len(tail)] for path in paths), key=lambda value: (len(value), value))
    wrong = f"{macro.selector} = {macro.value!r} chooses no file for include '{include.file}' at {include.place}"
    return Problem.at(macro.place, f"{wrong}{advice(macro.value, valid)}.")
