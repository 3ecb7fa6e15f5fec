"""Which runs are seeds of one method: those of one recipe that differ in nothing but the seed, the task and where they ran."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from framework.reports.history import RunHistory

APART: Final = ("Tracking.", "Checkpoints.", "Run.seed", "Runtime.device", "Runtime.threads")
"""The beginnings of settings that make no method."""


def name_methods(histories: Sequence[RunHistory]) -> list[str]:
    """The name of the method of each run.

    In a sweep, a method is a recipe with the values of the grid, without the task. Elsewhere it is a recipe with the values of all settings
    in which its runs on one task differ. The name has the recipe, unless that is one for all, and of the values as few as tell its methods
    apart.
    """
    recipes = dict.fromkeys(each.recipe for each in histories)
    keys = {recipe: _telling_settings([each for each in histories if each.recipe == recipe]) for recipe in recipes}
    names = []
    for each in histories:
        values = ", ".join(f"{key.rpartition('.')[2]}={_brief(_values(each).get(key, '-'))}" for key in keys[each.recipe])
        names.append(values if values and len(recipes) == 1 else f"{each.recipe} {values}".strip())
    return names


def _values(history: RunHistory) -> Mapping[str, str]:
    """What may tell a run's method from others of its recipe: the values of the grid, or all settings."""
    if history.cell is None:
        return history.settings
    return {key: value for key, value in history.cell.grid.items() if f".{key}".rpartition(".")[2] != "task"}


def _telling_settings(histories: Sequence[RunHistory]) -> list[str]:
    """As few of the settings, or of the grid's keys, as tell the methods of a recipe apart."""
    values = [_values(each) for each in histories]
    chosen: list[str] = []
    for key in dict.fromkeys(key for value in values for key in value) if histories[0].cell else _differing_on_a_task(histories):
        if _count(values, [*chosen, key]) > _count(values, chosen):
            chosen.append(key)
    return chosen


def _differing_on_a_task(histories: Sequence[RunHistory]) -> list[str]:
    """The settings in which runs on one task differ, whichever it is; those that all runs have come first."""
    tasks = dict.fromkeys(each.task for each in histories)
    keys = dict.fromkeys(key for task in tasks for key in differing([each.settings for each in histories if each.task == task]))
    return sorted(keys, key=lambda key: not all(key in each.settings for each in histories))


def differing(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """The settings in which these differ, the seed and the task apart."""
    keys = dict.fromkeys(key for each in settings for key in each if not key.startswith(APART) and not key.endswith(".task"))
    return [key for key in keys if len({each.get(key) for each in settings}) > 1]


def _count(values: Sequence[Mapping[str, str]], keys: Sequence[str]) -> int:
    return len({tuple(each.get(key) for key in keys) for each in values})


def _brief(value: str) -> str:
    """A value without the families of its components: `@negatives.InBatch` is `InBatch`."""
    return re.sub(r"@(\w+/)?(\w+\.)?", "", value)
