"""The static check of a recipe."""

from collections.abc import Sequence
from pathlib import Path

from framework.composition.plan import ROOT, plan
from framework.composition.problems import Problem


def check(recipe: str | Path, bindings: Sequence[str] = (), *, imports: Sequence[str] = (), root: str = ROOT) -> list[Problem]:
    """Everything that is wrong with a recipe, in one pass; builds nothing, and imports only what the recipe itself imports."""
    return list(plan(recipe, bindings, imports=imports, root=root).problems)
