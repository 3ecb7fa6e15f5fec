"""Composition: a recipe in gin becomes a checked plan, and the plan becomes frozen factories.

    includes -> parser -> bindings -> resolve      the tree from `@Run` down, every value with its place, and every problem
    load                                           the same tree as frozen factories, without gin

Reading imports no built-in component and no torch. Factories are frozen because a class that gin wraps looks its bindings up in a global
store whenever it is built: two agents in one notebook would share it, a spawned process would not have it, and `torch.compile` would
break on it.
"""

from framework.composition.load import Composition, compose, load
from framework.composition.overrides import Overrides, statements
from framework.composition.plan import ROOT, SWEEP, check, is_sweep, plan
from framework.composition.problems import Problem
from framework.composition.provenance import Difference, diff, show
from framework.composition.recipes import Recipe, list_recipes
from framework.composition.tree import Plan
from framework.errors import Place

__all__ = [
    "ROOT",
    "SWEEP",
    "Composition",
    "Difference",
    "Overrides",
    "Place",
    "Plan",
    "Problem",
    "Recipe",
    "check",
    "compose",
    "diff",
    "is_sweep",
    "list_recipes",
    "load",
    "plan",
    "show",
    "statements",
]
