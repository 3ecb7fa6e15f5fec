"""The components of this package, read from its source text: nothing is imported, so that a listing needs no torch."""

import ast
import inspect
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.util import cache_from_source
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

from framework.signatures.component import FAMILIES, Component, Parameter
from framework.signatures.source import Module, expand
from framework.text import PACKAGE

Lineage = Sequence[tuple[Module, ast.ClassDef]]
SCAFFOLD: Final = PACKAGE / "scaffold"
"""What `dream new` writes for each family: no component by itself."""


@cache
def builtin_components() -> Mapping[str, Mapping[str, Component]]:
    """Every class of this package under `@<family>.register`, by family and name, in the order of their names.

    To read them takes a fifth of a second, so they are kept among Python's own cached files, with the times of the sources.
    """
    files = sorted(each for each in PACKAGE.rglob("*.py") if each.parent != SCAFFOLD)
    times = [(str(file), file.stat().st_mtime_ns) for file in files]
    kept = Path(cache_from_source(f"{PACKAGE}/components.py")).with_suffix(".pickle")
    with suppress(Exception):  # nothing is kept yet, or not by this version
        kept_times, members = pickle.loads(kept.read_bytes())
        if kept_times == times:
            return cast(Mapping[str, Mapping[str, Component]], members)
    members = _read(files)
    with suppress(OSError):  # the folder is not there, or not ours to write
        new = kept.with_suffix(f".{os.getpid()}")
        new.write_bytes(pickle.dumps((times, members)))
        new.replace(kept)
    return members


def contract_of(family: str) -> tuple[Component, Lineage]:
    """The smallest component of a family, and the classes of this package that it derives from, the nearest first."""
    module = Module.of_file(SCAFFOLD / f"{family}.py")
    (node,) = (each for each in module.definitions.values() if isinstance(each, ast.ClassDef) and any(map(_family_of, each.decorator_list)))
    return _component(family, module, node), [*_lineage(module, node)][1:]


def _read(files: Iterable[Path]) -> dict[str, dict[str, Component]]:
    members: dict[str, dict[str, Component]] = {family: {} for family in FAMILIES}
    for path in files:
        if b".register\n" in path.read_bytes():
            for component in _components(Module.of_file(path)):
                members[component.family][component.name] = component
    return {family: dict(sorted(components.items())) for family, components in members.items()}


def _components(module: Module) -> Iterator[Component]:
    """The registered classes of one source file."""
    for node in module.definitions.values():
        if isinstance(node, ast.ClassDef):
            for family in filter(None, map(_family_of, node.decorator_list)):
                yield _component(family, module, node)


def _component(family: str, module: Module, node: ast.ClassDef) -> Component:
    lineage = list(_lineage(module, node))
    facts = {name: value for owner, base in reversed(lineage) for name, value in _facts(owner, base).items()}
    return Component(
        family=family,
        name=node.name,
        module=module.name,
        file=module.file,
        line=node.lineno,
        doc=inspect.cleandoc(ast.get_docstring(node) or ""),
        parameters=tuple(_parameters(lineage, facts.get("derived", ()))),
        facts=facts,
    )


def _family_of(decorator: ast.expr) -> str | None:
    match decorator:
        case ast.Attribute(value=ast.Name(id=family), attr="register") if family in FAMILIES:
            return family
    return None


def _lineage(module: Module, node: ast.ClassDef) -> Iterator[tuple[Module, ast.ClassDef]]:
    """A class and its base classes, as far as they are of this package."""
    yield module, node
    for base in node.bases:
        owner, definition = module.find(base)
        if isinstance(definition, ast.ClassDef):
            yield from _lineage(owner, definition)


def _facts(module: Module, node: ast.ClassDef) -> dict[str, Any]:
    """The literals of a class body."""
    facts: dict[str, Any] = {}
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case _:
                continue
        try:
            facts[name] = ast.literal_eval(expand(value, module))
        except ValueError:
            continue
    return facts


def _parameters(lineage: Lineage, derived: tuple[str, ...]) -> Iterator[Parameter]:
    """The parameters of the first constructor in a lineage."""
    methods = ((module, each) for module, node in lineage for each in node.body if isinstance(each, ast.FunctionDef))
    for module, constructor in islice((each for each in methods if each[1].name == "__init__"), 1):
        for argument, default in zip(constructor.args.kwonlyargs, constructor.args.kw_defaults, strict=True):
            yield Parameter(
                name=argument.arg,
                annotation=ast.unparse(expand(argument.annotation, module)) if argument.annotation else "",
                default=ast.unparse(expand(default, module)) if default else None,
                derived=argument.arg in derived,
                file=module.file,
                line=argument.lineno,
            )
