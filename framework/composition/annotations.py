"""Whether a value of a recipe is what a parameter's annotation says, and what to write if it is not."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, final

from framework.composition.catalog import Catalog
from framework.composition.parser import Macro, Reference, Unreadable
from framework.signatures import FAMILIES, Component

PLAIN: Final = {
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "True or False"),
    "str": ((str,), "a text in quotes"),
}
SEQUENCES: Final = ("Sequence", "tuple", "list", "Tuple", "List", "Iterable")
MAPPINGS: Final = ("Mapping", "dict", "Dict")
FAMILY_OF_BASE: Final = {family.base: family.name for family in FAMILIES.values() if family.base != "object"}


@final
@dataclass(frozen=True)
class Target:
    """A reference whose component was found."""

    component: Component
    scope: str


Report = Callable[[str], None]


def fit(value: Any, annotation: str, catalog: Catalog, report: Report) -> Any:
    """The value as the component will get it, its references found; what is wrong with it goes to `report`."""
    try:
        expression = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        expression = ast.Name("Any")
    return _Fitting(catalog).fit(value, expression, report)


@final
class _Fitting:
    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def fit(self, value: Any, kind: ast.expr, report: Report) -> Any:
        match kind:
            case ast.Constant(value=str() as text):
                return self.fit(value, ast.parse(text, mode="eval").body, report)
            case ast.BinOp(op=ast.BitOr()) | ast.Subscript(value=ast.Name(id="Optional" | "Union")):
                return self._union(value, kind, report)
            case ast.Subscript(value=head, slice=inner):
                return self._generic(value, kind, _last(head), inner, report)
            case ast.Constant(value=None):
                return self._accept(value, value is None, kind, report)
            case ast.Name(id=name) if name in PLAIN:
                return self._plain(value, name, kind, report)
        return self._anything(value, report)

    def _plain(self, value: Any, name: str, kind: ast.expr, report: Report) -> Any:
        types, _ = PLAIN[name]
        fits = isinstance(value, types) and (name == "bool" or not isinstance(value, bool))
        if fits:
            return float(value) if name == "float" else value
        hint = _whole(value) if name == "int" else ""
        return self._accept(value, False, kind, report, hint)

    def _generic(self, value: Any, kind: ast.expr, head: str, inner: ast.expr, report: Report) -> Any:
        if head == "Literal":
            return self._accept(value, value in [each.value for each in _choices(inner)], kind, report)
        if head in ("Factory", "Callable"):
            return self._component(value, inner.elts[-1] if isinstance(inner, ast.Tuple) else inner, kind, report)
        if head in SEQUENCES:
            return self._sequence(value, kind, head, inner, report)
        if head in MAPPINGS and isinstance(inner, ast.Tuple):
            if not isinstance(value, dict):
                return self._accept(value, False, kind, report)
            keys, values = inner.elts
            return {self.fit(key, keys, report): self.fit(each, values, report) for key, each in value.items()}
        return self.fit(value, inner, report) if head in ("Final", "Annotated") else self._anything(value, report)

    def _sequence(self, value: Any, kind: ast.expr, head: str, inner: ast.expr, report: Report) -> Any:
        if not isinstance(value, list | tuple):
            one = self._quiet(value, inner.elts[0] if isinstance(inner, ast.Tuple) else inner)
            hint = f"; write [{show(value)}]" if one else ""
            return self._accept(value, False, kind, report, hint)
        kinds = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if isinstance(inner, ast.Tuple) and ast.unparse(kinds[-1]) != "...":
            if len(kinds) != len(value):
                return self._accept(value, False, kind, report)
            return tuple(self.fit(each, one, report) for each, one in zip(value, kinds, strict=True))
        values = [self.fit(each, kinds[0], report) for each in value]
        return tuple(values) if head in ("tuple", "Tuple") or (head == "Sequence" and isinstance(value, tuple)) else values

    def _component(self, value: Any, wanted: ast.expr, kind: ast.expr, report: Report) -> Any:
        name = _last(wanted)
        family = FAMILY_OF_BASE.get(name, "")
        part = [] if family else [each for each in self.catalog.members("parts") if each.name == name]
        if not isinstance(value, Reference):
            return self._accept(value, False, kind, report, self._valid(family, part))
        found = self._resolve(value, family, report)
        if not isinstance(found, Target):
            return found
        if (family and found.component.family != family) or (part and found.component not in part):
            text = f"{value} is a component of `{found.component.family}`" if family else f"{value} is another part"
            report(f"takes {describe(kind)}, and {text}{self._valid(family, part)}")
        return found

    def _valid(self, family: str, part: list[Component]) -> str:
        members = self.catalog.members(family) if family else part
        return f"; valid are: {', '.join(f'@{each.selector}' for each in members)}" if members else ""

    def _resolve(self, reference: Reference, family: str, report: Report) -> Any:
        if reference.called:
            report(
                f"{reference} builds an object while the recipe is read, before the sizes that Python passes to it are known; "
                f"write it without the brackets"
            )
        found = self.catalog.find(reference.selector)
        if len(found) == 1:
            return Target(found[0], reference.scope)
        report(self.catalog.complain(reference.selector, family))
        return reference

    def _union(self, value: Any, kind: ast.expr, report: Report) -> Any:
        options = list(_options(kind))
        for option in options:
            messages: list[str] = []
            fitted = self.fit(value, option, messages.append)
            if not messages:
                return fitted
        factories = [each for each in options if _last(each) in ("Factory", "Callable")]
        if isinstance(value, Reference) and factories:
            return self.fit(value, factories[0], report)
        if isinstance(value, list | tuple | dict) and len(options) == 2 and _last(options[1]) == "None":
            return self.fit(value, options[0], report)
        hint = _whole(value) if any(_last(each) == "int" for each in options) else ""
        return self._accept(value, False, kind, report, hint)

    def _anything(self, value: Any, report: Report) -> Any:
        match value:
            case Reference():
                return self._resolve(value, "", report)
            case list() | tuple():
                return type(value)(self._anything(each, report) for each in value)
            case dict():
                return {key: self._anything(each, report) for key, each in value.items()}
        return value

    def _quiet(self, value: Any, kind: ast.expr) -> bool:
        messages: list[str] = []
        self.fit(value, kind, messages.append)
        return not messages

    def _accept(self, value: Any, fits: bool, kind: ast.expr, report: Report, hint: str = "") -> Any:
        if not fits:
            report(f"takes {describe(kind)}, not {show(value)}{hint}")
        return value


def _whole(value: object) -> str:
    return f"; write {int(value)}" if isinstance(value, float) and value.is_integer() else ""


def describe_text(annotation: str) -> str:
    """An annotation in words, from its source text."""
    return describe(ast.parse(annotation, mode="eval").body)


def describe(kind: ast.expr) -> str:
    """An annotation in words."""
    match kind:
        case ast.Name(id=name) if name in PLAIN:
            return PLAIN[name][1]
        case ast.Constant(value=str() as text):
            return describe(ast.parse(text, mode="eval").body)
        case ast.BinOp(op=ast.BitOr()) | ast.Subscript(value=ast.Name(id="Optional" | "Union")):
            return " or ".join(describe(each) for each in _options(kind))
        case ast.Subscript(value=head, slice=inner):
            return _describe_generic(_last(head), inner)
    return ast.unparse(kind)


def _describe_generic(head: str, inner: ast.expr) -> str:
    elements = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if head == "Literal":
        return f"one of {', '.join(repr(each.value) for each in _choices(inner))}"
    if head in ("Factory", "Callable"):
        name = _last(elements[-1])
        return f"a component of `{FAMILY_OF_BASE[name]}`" if name in FAMILY_OF_BASE else f"@{name}"
    if head in MAPPINGS:
        return f"a dict from {describe(elements[0])} to {describe(elements[1])}"
    if head in SEQUENCES and len(elements) == 2 and ast.unparse(elements[1]) != "...":
        return f"two values, {describe(elements[0])} and {describe(elements[1])}"
    if head in SEQUENCES and len(elements) > 2:
        return f"{len(elements)} values, each {describe(elements[0])}"
    return f"a list, each element {describe(elements[0])}"


def show(value: Any) -> str:
    """A value as the recipe writes it."""
    match value:
        case Reference() | Macro() | Unreadable():
            return str(value)
        case Target():
            return str(Reference(value.scope, value.component.selector, called=False))
        case list():
            return f"[{', '.join(map(show, value))}]"
        case tuple():
            return f"({', '.join(map(show, value))}{',' if len(value) == 1 else ''})"
        case dict():
            return "{" + ", ".join(f"{show(key)}: {show(each)}" for key, each in value.items()) + "}"
    return repr(value)


def _options(kind: ast.expr) -> Iterator[ast.expr]:
    match kind:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _options(left)
            yield from _options(right)
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            yield inner
            yield ast.Constant(None)
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=elements)):
            yield from elements
        case _:
            yield kind


def _choices(inner: ast.expr) -> list[ast.Constant]:
    elements = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    return [each for each in elements if isinstance(each, ast.Constant)]


def _last(kind: ast.expr) -> str:
    match kind:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case ast.Subscript(value=value):
            return _last(value)
        case ast.Constant(value=str() as text):
            return text.split(".")[-1]
    return ast.unparse(kind)
