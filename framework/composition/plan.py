"""The reading of a recipe: from its text to the tree of components, with everything that is wrong."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from framework.composition.bindings import Bindings
from framework.composition.catalog import Catalog
from framework.composition.includes import Program, read
from framework.composition.modules import CODE, find_folder, import_module
from framework.composition.overrides import Overrides, statements, texts
from framework.composition.parser import Import
from framework.composition.problems import Problem, Report
from framework.composition.recipes import shipped
from framework.composition.resolve import Resolver
from framework.composition.tree import Node, Plan
from framework.composition.trust import belongs_to_run, is_trusted, require_own
from framework.composition.usage import Usage
from framework.errors import Place, UserError
from framework.registry import imports_of_recipe
from framework.text import display

ROOT: Final = "parts.Run"
SWEEP: Final = "parts.Sweep"


def plan(
    recipe: str | Path, bindings: Overrides = (), *, imports: Iterable[str] = (), root: str | None = None, trust: bool = False
) -> Plan:
    """Read a recipe with the bindings of the command line; every problem comes in one pass, and nothing is built.

    The root is `Run`, or `Sweep` in the file of a sweep, which is refused where the root is to be `Run`.
    The recipe of a run imports code of its own only if this user's trainings wrote it, or with `trust`.
    """
    overrides = statements(bindings)
    program = read(recipe, overrides, texts("imports", imports))
    problems = list(program.problems)

    def is_foreign(file: Path) -> bool:
        return not is_trusted(trust) and (belongs_to_run(program.recipe) or belongs_to_run(file))

    is_of_sweep = binds_sweep(program)
    if root == ROOT and is_of_sweep:
        raise UserError(f"{display(program.recipe)} is a sweep, and no recipe: `dream sweep` runs it.")
    root = root or (SWEEP if is_of_sweep else ROOT)
    absent: list[Problem] = []
    modules = _import(program.imports, problems.append, is_foreign)
    imports_failed = len(problems) > len(program.problems)
    catalog = Catalog(is_complete=not imports_failed)
    resolved = Bindings(program.bindings, catalog, problems.append, absent.append)
    resolver = Resolver(resolved, catalog, absent.append)
    resolver.consumed |= {macro for macro, _ in program.chosen}
    tree = resolver.build(root, Place(display(program.recipe), 1))
    of_tasks = list(_imports_of_tasks(resolver.nodes.values(), program.recipe))
    modules |= _import(of_tasks, problems.append, is_foreign, by_name=True)
    set_aside = Usage(resolved, resolver, catalog, absent.append).check()
    if not program.is_complete or imports_failed:
        absent = []
    elif absent and root == ROOT and _is_part(program):
        absent = [_no_recipe(program)]
    return Plan(
        recipe=program.recipe,
        root=tree,
        problems=tuple(_in_order([*problems, *absent], program)),
        overrides=overrides,
        imports=tuple(dict.fromkeys(statement.module for statement, _ in [*program.imports, *of_tasks])),
        modules=modules,
        set_aside=tuple(set_aside),
        chosen=tuple(program.chosen),
    )


def binds_sweep(program: Program) -> bool:
    """Whether a program is that of a sweep: its own file binds a setting of `Sweep`."""
    return any(each.selector in ("Sweep", SWEEP) and not each.place.on_command_line for each in program.bindings)


def is_sweep(recipe: str | Path) -> bool:
    """Whether a file is a sweep, and no recipe."""
    return binds_sweep(read(recipe))


def check(recipe: str | Path, bindings: Overrides = (), *, imports: Iterable[str] = ()) -> list[Problem]:
    """Everything that reading a recipe finds wrong."""
    return list(plan(recipe, bindings, imports=imports).problems)


def _import(
    imports: Iterable[tuple[Import, Path]], report: Report, is_foreign: Callable[[Path], bool], *, by_name: bool = False
) -> dict[str, Path]:
    """Import the modules of statements, each with its recipe; returns the source files that a copy of the run needs."""
    modules: dict[str, Path] = {}
    with imports_of_recipe() as enter:
        for statement, recipe in imports:
            folder = find_folder(statement.module, recipe)
            if folder in (recipe.parent, recipe.parent / CODE) and is_foreign(recipe):
                require_own(folder, statement.place)
            try:
                modules |= import_module(statement.module, recipe, enter=enter, by_name=by_name)
            except UserError as error:
                report(Problem.at(statement.place, error.message))
    return modules


def _imports_of_tasks(nodes: Iterable[Node], recipe: Path) -> Iterator[tuple[Import, Path]]:
    """The modules of tasks such as `my_module:MyTask-v0`, which gymnasium imports to find the task, if they are the user's own."""
    for node in nodes:
        task = node.settings.get("task")
        if task is not None and task.binding is not None and isinstance(task.value, str):
            module, colon, _ = task.value.partition(":")
            if colon and find_folder(module, recipe):
                yield Import(module, task.binding.place), recipe


def _is_part(program: Program) -> bool:
    """Whether a file that lacks something is a part of recipes: one of ours, or one that binds nothing of the run."""
    in_files = [each.selector for each in program.bindings if not each.place.on_command_line]
    return program.recipe.is_relative_to(shipped() / "gin") or not {"Run", ROOT}.intersection(in_files)


def _no_recipe(program: Program) -> Problem:
    file, own = display(program.recipe), [each for each in program.bindings if each.place.file == display(program.recipe)]
    sets = f", which sets {', '.join(dict.fromkeys(each.selector for each in own))}" if own else ""
    message = f"this is no recipe but a part of one{sets}: include '{file}' in a recipe, or train one that `dream recipes` lists."
    return Problem(file, 1, message)


def _in_order(problems: list[Problem], program: Program) -> list[Problem]:
    """Without repetition: the recipe first, then what it includes, then the command line, each from top to bottom."""
    files = [display(path) for path in program.files]
    rank = {file: number for number, file in enumerate(dict.fromkeys(files))}
    return sorted(dict.fromkeys(problems), key=lambda problem: (rank.get(problem.file, len(rank)), problem.line))
