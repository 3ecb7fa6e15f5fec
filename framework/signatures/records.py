"""The records that the methods of the families' contracts take and give, read from source."""

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Final

from framework.signatures.builtin import contract_of
from framework.signatures.component import FAMILIES
from framework.signatures.source import Definition, Module

NAME: Final = re.compile(r"\b[A-Z]\w+")
CONTRACTS: Final = {family.base for family in FAMILIES.values()}
Record = tuple[Module, Definition]
"""A class or the type that a name stands for, and the file of it."""


def all_records() -> Mapping[str, Record]:
    """The records of all families, and those that their fields and methods name, by name."""
    records: dict[str, Record] = {}
    waiting = [each for family in FAMILIES if family != "parts" for each in records_of(family).items()]
    while waiting:
        name, record = waiting.pop()
        if name not in records:
            records[name] = record
            waiting += _named_in(*record)
    return records


def records_of(family: str) -> Mapping[str, Record]:
    """What the signatures of a family's contract name: classes of this package that are no contracts, and names of types."""
    _, bases = contract_of(family)
    return dict(sorted((name, record) for module, node in bases for name, record in _named_in(module, node)))


def _named_in(module: Module, definition: Definition) -> Iterator[tuple[str, Record]]:
    for annotation in _annotations(definition):
        for name in NAME.findall(ast.unparse(annotation)):
            owner, named = module.find(ast.Name(name))
            if isinstance(named, ast.ClassDef | ast.Subscript) and name not in CONTRACTS:
                yield name, (owner, named)


def _annotations(definition: Definition) -> Iterator[ast.expr]:
    """Those of the fields and the public methods of a class; a type by itself."""
    if not isinstance(definition, ast.ClassDef):
        yield definition
        return
    for node in definition.body:
        match node:
            case ast.AnnAssign(annotation=annotation):
                yield annotation
            case ast.FunctionDef(name=name, args=arguments, returns=returns) if name == "__init__" or not name.startswith("_"):
                arguments_of_all_kinds = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
                yield from filter(None, (*(each.annotation for each in arguments_of_all_kinds), returns))
