"""Compositions of an agent alone: a whole run is composed from the shipped recipes, elsewhere."""

from collections.abc import Callable, Sequence
from pathlib import Path

from framework.composition import Composition, Plan, Problem, load
from framework.composition import plan as read

ROOT = "parts.Agent"
Write = Callable[[str, str], Path]


def compose(recipe: str | Path, *bindings: str, imports: Sequence[str] = ()) -> Composition:
    return load(recipe, bindings, imports=imports, root=ROOT)


def plan(recipe: str | Path, *bindings: str) -> Plan:
    return read(recipe, bindings, root=ROOT)


def problem(recipe: str | Path, *bindings: str) -> Problem:
    """The one problem that a recipe has."""
    problems = plan(recipe, *bindings).problems
    assert len(problems) == 1, "\n".join(map(str, problems))
    return problems[0]
