"""Annotations of parameters as syntax trees, and in words."""

import ast
from functools import cache
from typing import Final

from framework.signatures import FAMILIES

PLAIN: Final = {
    "int": "a whole number",
    "float": "a number",
    "bool": "True or False",
    "str": "a text in quotes",
    "Written": "a value of a binding",
}
SEQUENCES: Final = ("Sequence", "tuple", "list", "Iterable", "Tuple", "List")
MAPPINGS: Final = ("Mapping", "dict", "Dict")
FACTORIES: Final = ("Factory", "Callable")
FAMILY_OF_BASE: Final = {family.base: family.name for family in FAMILIES.values() if family.base != "object"}


@cache
def parse_annotation(text: str) -> ast.expr:
    """The syntax tree of an annotation; `Any` where it is no Python."""
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return ast.Name("Any")


def describe(kind: ast.expr) -> str:
    """An annotation in words."""
    match kind:
        case ast.Name(id=name) if name in PLAIN:
            return PLAIN[name]
        case ast.Constant(value=str() as text):
            return describe(parse_annotation(text))
        case _ if len(members := options(kind)) > 1:
            return " or ".join(map(describe, members))
        case ast.Subscript(value=head, slice=inner):
            return _describe_generic(last_name(head), elements(inner))
    return ast.unparse(kind)


def _describe_generic(head: str, inner: list[ast.expr]) -> str:
    if head == "Literal":
        return f"one of {', '.join(map(repr, choices(inner)))}"
    if head in FACTORIES:
        name = last_name(inner[-1])
        return f"a component of `{FAMILY_OF_BASE[name]}`" if name in FAMILY_OF_BASE else f"@{name}"
    if head in MAPPINGS:
        return f"a dict from {describe(inner[0])} to {describe(inner[1])}"
    if head in SEQUENCES and is_fixed_length(inner):
        return f"two values, {' and '.join(map(describe, inner))}" if len(inner) == 2 else f"{len(inner)} values, each {describe(inner[0])}"
    return f"a list, each element {describe(inner[0])}"


def elements(inner: ast.expr) -> list[ast.expr]:
    """The arguments of a generic type."""
    return inner.elts if isinstance(inner, ast.Tuple) else [inner]


def is_fixed_length(inner: list[ast.expr]) -> bool:
    """Whether the arguments of a sequence type give each element its own type, as in `tuple[int, float]`."""
    return len(inner) > 1 and ast.unparse(inner[-1]) != "..."


def choices(inner: list[ast.expr]) -> list[object]:
    """The values of a `Literal`."""
    return [each.value for each in inner if isinstance(each, ast.Constant)]


def options(kind: ast.expr) -> list[ast.expr]:
    """The members of a union, `A | B`, `Union[A, B]` or `Optional[A]`; of any other type, the type itself."""
    match kind:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [*options(left), *options(right)]
        case ast.Subscript(value=head, slice=inner) if last_name(head) in ("Optional", "Union"):
            members = [member for each in elements(inner) for member in options(each)]
            return [*members, ast.Constant(None)] if last_name(head) == "Optional" else members
    return [kind]


def last_name(kind: ast.expr) -> str:
    """The name of a type without its module and arguments."""
    match kind:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case ast.Subscript(value=value):
            return last_name(value)
        case ast.Constant(value=str() as text):
            return text.split(".")[-1]
    return ast.unparse(kind)
