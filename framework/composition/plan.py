"""From statements to the tree: what each binding means, which component holds which, and everything that is wrong."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from framework.composition.bindings import Meaning
from framework.composition.catalog import Catalog
from framework.composition.constructors import constructors_refuse_nothing
from framework.composition.includes import Program, read
from framework.composition.modules import import_module
from framework.composition.problems import Place, Problem
from framework.composition.resolve import Wiring
from framework.composition.specs import RULES
from framework.composition.tree import Plan
from framework.composition.usage import unused
from framework.signatures import display

ROOT = "parts.Run"


def plan(recipe: str | Path, bindings: Sequence[str] = (), *, imports: Sequence[str] = (), root: str = ROOT) -> Plan:
    """Read a recipe with the bindings of the command line, and check it; every problem comes in one pass."""
    program = read(recipe, bindings, imports)
    problems = list(program.problems)
    plugins: dict[Path, None] = {}
    for statement, path in program.imports:
        imported = import_module(statement, path)
        plugins |= dict.fromkeys(imported.files)
        problems += [imported.problem] if imported.problem else []
    catalog = Catalog()
    absent: list[Problem] = []
    meaning = Meaning(program.bindings, catalog, problems.append, absent.append)
    wiring = Wiring(meaning, catalog, absent.append)
    wiring.consumed |= {macro for macro, _ in program.chosen}
    tree = wiring.build(root, Place(display(program.recipe), 1))
    set_aside = unused(meaning, wiring, catalog, absent.append)
    result = Plan(
        recipe=program.recipe,
        root=tree,
        problems=(),
        overrides=tuple(bindings),
        modules=tuple(dict.fromkeys(statement.module for statement, _ in program.imports)),
        plugins=tuple(plugins),
        set_aside=tuple(set_aside),
        chosen=tuple(program.chosen),
    )
    if program.whole:
        problems += absent + [problem for rule in RULES for problem in rule(result)]
        problems += _elsewhere(constructors_refuse_nothing(result), problems)
    return result.with_problems(_in_order(problems, program))


def _elsewhere(more: Iterable[Problem], problems: Sequence[Problem]) -> list[Problem]:
    """Those of lines with which nothing is wrong yet: a rule and a constructor may find the same."""
    places = {(each.file, each.line) for each in problems}
    return [each for each in more if (each.file, each.line) not in places]


def _in_order(problems: list[Problem], program: Program) -> list[Problem]:
    """Without repetition: the recipe first, then what it includes, then the command line, each from top to bottom."""
    files = [display(path) for path in program.files]
    rank = {file: number for number, file in enumerate(dict.fromkeys(files))}
    return sorted(dict.fromkeys(problems), key=lambda problem: (rank.get(problem.file, len(rank)), problem.line))
