"""The values of a run and their places: `resolved.gin`, `operative.gin`, and the difference of two recipes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from framework.composition.tree import Node, Plan, Setting
from framework.composition.values import PythonDefault
from framework.text import display


@final
@dataclass(frozen=True)
class Difference:
    """A key that two recipes set differently; None where one has no such key."""

    key: str
    left: str | None
    right: str | None


def show(plan: Plan, *, provenance: bool = False) -> str:
    """Every value of a recipe, defaults included: valid gin, which gives the same run when it is loaded by itself.

    With `provenance`, each value has its place.
    """
    blocks = [*_imports(plan)]
    keys: set[str] = set()
    for node in plan.nodes():
        if node.settings and node.key not in keys:
            blocks.append("\n".join(_lines(node, provenance=provenance)))
        keys.add(node.key)
    text = "\n\n".join(blocks) + "\n"
    return text + "".join(_replacements(plan)) if provenance else text


def diff(left: Plan, right: Plan) -> list[Difference]:
    """Where two recipes differ, over all their values, defaults included."""
    one, two = _values(left), _values(right)
    return [Difference(key, one.get(key), two.get(key)) for key in dict.fromkeys([*one, *two]) if one.get(key) != two.get(key)]


def _values(plan: Plan) -> dict[str, str]:
    return {f"{node.key}.{name}": setting.text for node in plan.nodes() for name, setting in node.settings.items()}


def _replacements(plan: Plan) -> Iterator[str]:
    if plan.chosen:
        yield "\n# Chosen by a macro:\n"
    for macro, path in plan.chosen:
        yield f"#   {display(path)}  # {macro.key} at {macro.place}\n"
    if plan.set_aside:
        yield "\n# Set aside, because the component that it belongs to was replaced:\n"
    for binding, remover in plan.set_aside:
        yield f"#   {binding.key}  # {binding.place}, replaced at {remover.place}\n"


def _imports(plan: Plan) -> Iterator[str]:
    lines = [
        f"# {module} is a notebook or a script: define its components before this is loaded" if module == "__main__" else f"import {module}"
        for module in dict.fromkeys([*plan.imports, *plan.own_components()])
    ]
    if lines:
        yield "\n".join(lines)


def _lines(node: Node, *, provenance: bool) -> Iterator[str]:
    for name, setting in node.settings.items():
        line = f"{node.key}.{name} = {setting.text}"
        if isinstance(setting.value, PythonDefault):
            line = f"# {line}"
        yield f"{line}  # {_origin(setting)}" if provenance else line


def _origin(setting: Setting) -> str:
    if setting.binding is None:
        return f"default in {setting.parameter.place}"
    macros = "".join(f", {binding.key} at {binding.place}" for binding in setting.macros)
    replaced = f", replaces {', '.join(map(str, setting.replaced))}" if setting.replaced else ""
    return f"{setting.binding.place}{macros}{replaced}"
