"""Composition: a recipe in gin becomes a checked plan, and the plan becomes frozen factories.

    sources -> statements, each with its file and line
    plan    -> the tree from `@Run` down, every value with the place that it came from, and every problem
    load    -> the same tree as `functools.partial` objects, which know nothing of gin

Calls are frozen because a class that gin wraps looks its bindings up in a global store whenever it is built: two agents in one
notebook would share it, a spawned process would not have it, and `torch.compile` would break on it.
"""

from framework.composition.check import check
from framework.composition.includes import Recipe, list_recipes
from framework.composition.load import Composition, load
from framework.composition.plan import plan
from framework.composition.problems import Place, Problem
from framework.composition.provenance import diff, show
from framework.composition.tree import Plan

__all__ = [
    "Composition",
    "Place",
    "Plan",
    "Problem",
    "Recipe",
    "check",
    "diff",
    "list_recipes",
    "load",
    "plan",
    "show",
]
