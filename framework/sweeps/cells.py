"""The cells of a sweep: all of them read, built and checked before the first one starts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, Final, final

from framework import composition
from framework.composition import Place, Plan, Problem
from framework.composition.recipes import find_recipe, first_file, shipped
from framework.errors import UserError
from framework.sweeps.record import Cell
from framework.sweeps.source import SweepSource
from framework.sweeps.sweep import shown
from framework.text import display
from framework.training.checks import refusals

LONGEST_KEY: Final = 150
REFERENCE: Final = re.compile(r"@(\w+\.)?")
ENVIRONMENTS: Final = ("vector_environments", "environments")


@final
@dataclass(frozen=True)
class PlannedCell:
    """A cell with every value of its run, by the key of the setting."""

    cell: Cell
    recipe: Path
    parameters: Mapping[str, Any]

    @property
    def steps(self) -> int:
        """Where the run ends, in environment steps."""
        return int(self.parameters["Trainer.steps"])

    @property
    def threads(self) -> int:
        """The threads that the run takes; one, unless the recipe says how many."""
        return self.parameters["Runtime.threads"] or 1


def plan_cells(source: SweepSource) -> list[PlannedCell]:
    """Every cell. The `UserError` that it raises lists everything that is wrong with any of them."""
    planned, mistakes = check_cells(source)
    if mistakes:
        raise UserError("\n".join(dict.fromkeys(map(str, mistakes))))
    return planned


def check_cells(source: SweepSource) -> tuple[list[PlannedCell], list[UserError]]:
    """The cells that are sound, and everything that is wrong with the others."""
    planned: list[PlannedCell] = []
    mistakes: list[UserError] = []
    for recipe in source.sweep.recipes:
        for values in source.sweep.combinations():
            try:
                planned += _cells(source, recipe, values, mistakes)
            except UserError as error:
                error.place = error.place or source.places.get("Sweep.recipes")
                mistakes.append(error)
    mistakes += _equal(planned, source)
    cells_of_keys = zip(planned, _keys(planned), strict=True)
    return [replace(each, cell=replace(each.cell, key=key)) for each, key in cells_of_keys], mistakes


def _cells(source: SweepSource, recipe: str, values: Mapping[str, Any], mistakes: list[UserError]) -> list[PlannedCell]:
    """The cells of a recipe with some values, one for each seed; none if anything is wrong with them."""
    bindings = (*source.sweep.bindings, *composition.statements(values))
    path = _find(recipe, source.file)
    plan = composition.plan(path, bindings, imports=source.imports, root=composition.ROOT, trust=source.trust)
    problems = list(plan.problems) or refusals((composed := composition.compose(plan)).root(composed=composed))
    mistakes += [_located(each, source, list(values)) for each in problems]
    if problems:
        return []
    texts = {name: shown(value) for name, value in values.items()}
    cell = Cell(key=_key(path.stem, texts), recipe=_name(path), bindings=bindings, grid=texts, task=_task(plan), seed=0)
    return [
        PlannedCell(replace(cell, key=f"{cell.key}-seed={seed}", seed=seed), path, {**plan.parameters(), "Run.seed": seed})
        for seed in source.sweep.seeds
    ]


def _find(recipe: str, file: Path | None) -> Path:
    """The file of a recipe: beside that of the sweep, or as `dream train` finds it."""
    return (first_file(recipe, [file.parent]) if file else None) or find_recipe(recipe)


def _name(path: Path) -> str:
    """A shipped recipe by its name, any other by its file."""
    recipes = shipped() / "recipes"
    return path.relative_to(recipes).with_suffix("").as_posix() if path.is_relative_to(recipes) else display(path)


def _located(problem: Problem, source: SweepSource, names: Sequence[str]) -> UserError:
    """A problem at the place where the sweep has its binding: the option of the command line, or the line of the sweep's file."""
    place, number, common = problem.place, problem.line - 1, len(source.sweep.bindings)
    if place.on_command_line and number >= common:
        place = source.places[names[number - common]]
    elif place.on_command_line and number < source.file_bindings:
        place = source.places["Sweep.bindings"]
    elif place.on_command_line:
        place = Place(place.file, number - source.file_bindings + 1)
    return UserError(problem.message, place=place)


def _task(plan: Plan) -> str:
    """The task of the environment, or the environment itself if it has only one."""
    nodes = [node for node in plan.nodes() if node.component.family in ENVIRONMENTS]
    return next((shown(node.settings["task"].value) for node in nodes if "task" in node.settings), nodes[-1].name)


def _equal(planned: Sequence[PlannedCell], source: SweepSource) -> Iterator[UserError]:
    """The cells that an earlier one is equal to; of several seeds, the first is named."""
    first: dict[str, PlannedCell] = {}
    for each in planned:
        earlier = first.setdefault(repr(sorted(each.parameters.items())), each)
        if earlier is not each and each.cell.seed == source.sweep.seeds[0]:
            message = f"two cells are the same: {earlier.cell.key} and {each.cell.key} resolve to equal values; leave one of them out."
            yield UserError(message, place=source.places.get("Sweep.recipes"))


def _key(recipe: str, grid: Mapping[str, str]) -> str:
    """The recipe and the values of the grid as the name of a folder; a long one ends in a part of its hash."""
    key = re.sub(r"[^\w.=+-]+", "_", "-".join([recipe, *(f"{name}={REFERENCE.sub('', value)}" for name, value in grid.items())]))
    return key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}~{sha256(key.encode()).hexdigest()[:8]}"


def _keys(planned: Sequence[PlannedCell]) -> Iterator[str]:
    """The keys of cells; a number is added to one that an earlier cell has, as of a recipe of that name in another folder."""
    taken: set[str] = set()
    for each in planned:
        numbered = (each.cell.key if number == 1 else f"{each.cell.key}~{number}" for number in count(1))
        key = next(key for key in numbered if key not in taken)
        taken.add(key)
        yield key
