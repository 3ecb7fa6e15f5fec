"""One source file as a syntax tree, with its names followed to the files of this package that they come from."""

import ast
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, final

OPERATORS: Final[Mapping[type[ast.operator], Any]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: left // right,
    ast.Pow: lambda left, right: left**right,
}


Found = ast.ClassDef | ast.FunctionDef | ast.expr
HOME: Final = Path(__file__).parent
"""This package, whose names a user's own module may mean too."""


@final
@dataclass(frozen=True, eq=False)
class Module:
    """The top level of one source file: its classes, functions and assignments, and what its names were imported as."""

    name: str
    file: str
    package: Path
    classes: Mapping[str, ast.ClassDef]
    functions: Mapping[str, ast.FunctionDef]
    assignments: Mapping[str, ast.expr]
    imports: Mapping[str, tuple[str, str]]

    @staticmethod
    @cache
    def of_file(path: Path, package: Path) -> "Module":
        """Parse one file of a package; its name follows from where it lies."""
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        dotted = path.relative_to(package.parent).with_suffix("").parts
        classes: dict[str, ast.ClassDef] = {}
        functions: dict[str, ast.FunctionDef] = {}
        assignments: dict[str, ast.expr] = {}
        imports: dict[str, tuple[str, str]] = {}
        for node in tree.body:
            match node:
                case ast.ClassDef(name=name):
                    classes[name] = node
                case ast.FunctionDef(name=name):
                    functions[name] = node
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    assignments[name] = value
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    assignments[name] = value
                case ast.ImportFrom(module=str() as source, names=names, level=0):
                    imports |= {each.asname or each.name: (source, each.name) for each in names}
        return Module(
            name=".".join(part for part in dotted if part != "__init__"),
            file=path.relative_to(package.parent).as_posix(),
            package=package,
            classes=classes,
            functions=functions,
            assignments=assignments,
            imports=imports,
        )

    def find(self, expression: ast.expr) -> "tuple[Module, Found | None]":
        """The class, the function or the assigned expression that a (dotted) name means, and the file that it stands in."""
        match expression:
            case ast.Name(id=name):
                return self._find(name)
            case ast.Attribute(value=ast.Name(id=prefix), attr=name) if prefix in self.imports:
                source, original = self.imports[prefix]
                owner = _module(f"{source}.{original}", self.package)
                return owner._find(name) if owner else (self, None)
            case ast.Subscript(value=value):
                return self.find(value)
        return self, None

    def _find(self, name: str) -> "tuple[Module, Found | None]":
        for known in (self.classes, self.functions, self.assignments):
            if name in known:
                return self, known[name]
        source, original = self.imports.get(name, ("", ""))
        owner = _module(source, self.package)
        return owner._find(original) if owner and owner is not self else (self, None)


@cache
def _module(name: str, package: Path) -> Module | None:
    first, *_ = parts = name.split(".")
    owner = next((each for each in (package, HOME) if each.name == first), None)
    if owner is None:
        return None
    path = owner.parent.joinpath(*parts)
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((Module.of_file(each, owner) for each in candidates if each.is_file()), None)


def expand(expression: ast.expr, module: Module) -> ast.expr:
    """Put in place of each name the expression that this package assigns to it; `Generic[..]` keeps its own name."""
    return expression if isinstance(expression, ast.Constant) else _Expansion(module).visit(deepcopy(expression))


@final
class _Expansion(ast.NodeTransformer):
    def __init__(self, module: Module) -> None:
        self.module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        owner, found = self.module.find(node)
        if isinstance(found, ast.Subscript | ast.BinOp | ast.UnaryOp | ast.Constant | ast.Tuple | ast.Name):
            return expand(found, owner)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if ast.unparse(node.value).split(".")[-1] != "Literal":
            node.slice = self.visit(node.slice)
        return node


def literal(expression: ast.expr | str) -> Any:
    """The value of a literal, with the arithmetic of numbers that source files write (`5 * 10**6`); else ValueError."""
    if isinstance(expression, str):
        try:
            expression = ast.parse(expression.strip(), mode="eval").body
        except SyntaxError as error:
            raise ValueError(f"not a literal: {expression}") from error
    match expression:
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
            return OPERATORS[type(operator)](literal(left), literal(right))
        case ast.Tuple(elts=elements):
            return tuple(literal(each) for each in elements)
        case ast.List(elts=elements):
            return [literal(each) for each in elements]
    return ast.literal_eval(expression)
