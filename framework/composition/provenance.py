"""What holds in a run and where it came from: `resolved.gin`, `operative.gin`, and the difference of two recipes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from framework.composition.tree import Node, Plan, PythonDefault, Setting
from framework.signatures import display


@final
@dataclass(frozen=True)
class Difference:
    """A key that two recipes set differently; None where one has no such key."""

    key: str
    left: str | None
    right: str | None


def show(plan: Plan, *, provenance: bool = False) -> str:
    """What a recipe comes to, as gin; with `provenance`, each value has the place that it came from."""
    return resolved_text(plan) if provenance else operative_text(plan)


def resolved_text(plan: Plan) -> str:
    """Every value, defaults included, with its place: valid gin, which gives the same run when it is loaded by itself."""
    text = _text(plan, provenance=True)
    if plan.chosen:
        text += "\n# Chosen by a macro:\n"
    for macro, path in plan.chosen:
        text += f"#   {display(path)}  # {macro.key} at {macro.place}\n"
    if plan.set_aside:
        text += "\n# Set aside, because the component that it belongs to was replaced:\n"
    for binding, remover in plan.set_aside:
        text += f"#   {binding.key}  # {binding.place}, replaced at {remover.place}\n"
    return text


def operative_text(plan: Plan) -> str:
    """The same without the places."""
    return _text(plan, provenance=False)


def diff(left: Plan, right: Plan) -> list[Difference]:
    """Where two recipes differ, over all their values, defaults included."""
    ours, theirs = _values(left), _values(right)
    keys = dict.fromkeys([*ours, *theirs])
    return [Difference(key, ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key)]


def _values(plan: Plan) -> dict[str, str]:
    return {f"{node.key}.{name}": setting.text for node in plan.nodes() for name, setting in node.settings.items()}


def _text(plan: Plan, *, provenance: bool) -> str:
    blocks = [*_imports(plan)]
    seen: set[tuple[str, str]] = set()
    for node in plan.nodes():
        if node.settings and (node.component.selector, node.key) not in seen:
            blocks.append("\n".join(_lines(node, provenance=provenance)))
        seen.add((node.component.selector, node.key))
    return "\n\n".join(blocks) + "\n"


def _imports(plan: Plan) -> Iterator[str]:
    modules = {node.component.module for node in plan.nodes() if not node.component.builtin}
    lines = [
        f"# {module} is a notebook or a script: define its components before this is loaded" if module == "__main__" else f"import {module}"
        for module in sorted(modules)
    ]
    if lines:
        yield "\n".join(lines)


def _lines(node: Node, *, provenance: bool) -> Iterator[str]:
    for name, setting in node.settings.items():
        line = f"{node.key}.{name} = {setting.text}"
        if isinstance(setting.value, PythonDefault):
            line = f"# {line}"
        yield f"{line}  # {_origin(node, setting)}" if provenance else line


def _origin(node: Node, setting: Setting) -> str:
    if setting.binding is None:
        return f"default in {node.component.file}:{setting.parameter.line}"
    macros = "".join(f", {binding.key} at {binding.place}" for binding in setting.macros)
    replaced = f", replaces {', '.join(map(str, setting.replaced))}" if setting.replaced else ""
    return f"{setting.binding.place}{macros}{replaced}"
