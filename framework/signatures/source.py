"""One source file as a syntax tree; its names are followed to the files of this package that define them."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

from framework.text import PACKAGE

Definition = ast.ClassDef | ast.expr


@final
@dataclass(frozen=True, eq=False)
class Module:
    """The top level of one source file: its classes and assignments, and the origin of each imported name."""

    name: str
    file: str
    definitions: Mapping[str, Definition]
    imports: Mapping[str, tuple[str, str]]

    @staticmethod
    @cache
    def of_file(path: Path) -> "Module":
        """Parse one file of this package; its name follows from its path."""
        relative = path.relative_to(PACKAGE.parent)
        definitions: dict[str, Definition] = {}
        imports: dict[str, tuple[str, str]] = {}
        for node in ast.parse(path.read_text(encoding="utf-8"), filename=str(path)).body:
            match node:
                case ast.ClassDef(name=name):
                    definitions[name] = node
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    definitions[name] = value
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    definitions[name] = value
                case ast.ImportFrom(module=str() as source, names=names, level=0):
                    imports |= {each.asname or each.name: (source, each.name) for each in names}
        name = ".".join(part for part in relative.with_suffix("").parts if part != "__init__")
        return Module(name=name, file=relative.as_posix(), definitions=definitions, imports=imports)

    def find(self, expression: ast.expr) -> "tuple[Module, Definition | None]":
        """The definition of a (dotted) name, and the file that it stands in."""
        match expression:
            case ast.Name(id=name):
                return self._find(name)
            case ast.Attribute(value=ast.Name(id=prefix), attr=name) if prefix in self.imports:
                owner = _module(".".join(self.imports[prefix]))
                return owner._find(name) if owner else (self, None)
            case ast.Subscript(value=value):
                return self.find(value)
        return self, None

    def _find(self, name: str) -> "tuple[Module, Definition | None]":
        if name in self.definitions:
            return self, self.definitions[name]
        source, original = self.imports.get(name, ("", ""))
        owner = _module(source)
        return owner._find(original) if owner and owner is not self else (self, None)


@cache
def _module(name: str) -> Module | None:
    first, *_ = parts = name.split(".")
    path = PACKAGE.parent.joinpath(*parts)
    files = [file for file in (path.with_suffix(".py"), path / "__init__.py") if first == PACKAGE.name and file.is_file()]
    return Module.of_file(files[0]) if files else None


def expand(expression: ast.expr, module: Module) -> ast.expr:
    """Replace each name, in place, by the expression that this package assigns to it; `Generic[..]` keeps its own name."""
    expanded: ast.expr = _Expansion(module).visit(expression)
    return expanded


@final
class _Expansion(ast.NodeTransformer):
    def __init__(self, module: Module) -> None:
        self.module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        owner, definition = self.module.find(node)
        if isinstance(definition, ast.Subscript | ast.BinOp | ast.UnaryOp | ast.Constant | ast.Tuple | ast.Name):
            return expand(definition, owner)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if ast.unparse(node.value).split(".")[-1] != "Literal":
            node.slice = self.visit(node.slice)
        return node
