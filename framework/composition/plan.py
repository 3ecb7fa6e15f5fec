"""The reading of a recipe: from its text to the tree of components, with everything that is wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from framework.composition.bindings import Bindings
from framework.composition.catalog import Catalog
from framework.composition.includes import Program, read
from framework.composition.modules import import_module
from framework.composition.problems import Problem
from framework.composition.resolve import Resolver
from framework.composition.tree import Plan
from framework.composition.usage import Usage
from framework.errors import Place, UserError
from framework.signatures import display

ROOT: Final = "parts.Run"


def plan(recipe: str | Path, bindings: Sequence[str] = (), *, imports: Sequence[str] = (), root: str = ROOT) -> Plan:
    """Read a recipe with the bindings of the command line; every problem comes in one pass, and nothing is built."""
    program = read(recipe, bindings, imports)
    problems = list(program.problems)
    plugins: dict[Path, None] = {}
    for statement, path in program.imports:
        try:
            plugins |= dict.fromkeys(import_module(statement.module, path))
        except UserError as error:
            problems.append(Problem.at(statement.place, error.message))
    catalog = Catalog()
    absent: list[Problem] = []
    resolved = Bindings(program.bindings, catalog, problems.append, absent.append)
    resolver = Resolver(resolved, catalog, absent.append)
    resolver.consumed |= {macro for macro, _ in program.chosen}
    tree = resolver.build(root, Place(display(program.recipe), 1))
    set_aside = Usage(resolved, resolver, catalog, absent.append).check()
    return Plan(
        recipe=program.recipe,
        root=tree,
        problems=tuple(_in_order([*problems, *(absent if program.is_complete else [])], program)),
        overrides=tuple(bindings),
        plugins=tuple(plugins),
        set_aside=tuple(set_aside),
        chosen=tuple(program.chosen),
    )


def check(recipe: str | Path, bindings: Sequence[str] = (), *, imports: Sequence[str] = (), root: str = ROOT) -> list[Problem]:
    """Everything that reading a recipe finds wrong."""
    return list(plan(recipe, bindings, imports=imports, root=root).problems)


def _in_order(problems: list[Problem], program: Program) -> list[Problem]:
    """Without repetition: the recipe first, then what it includes, then the command line, each from top to bottom."""
    files = [display(path) for path in program.files]
    rank = {file: number for number, file in enumerate(dict.fromkeys(files))}
    return sorted(dict.fromkeys(problems), key=lambda problem: (rank.get(problem.file, len(rank)), problem.line))
