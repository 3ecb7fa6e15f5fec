"""The check of a recipe's values against the annotations of parameters."""

import ast
import math
import sys
from collections.abc import Iterable
from typing import Any, Final, final

from framework.composition.annotations import (
    FACTORIES,
    FAMILY_OF_BASE,
    MAPPINGS,
    SEQUENCES,
    choices,
    describe,
    elements,
    is_fixed_length,
    last_name,
    options,
    parse_annotation,
)
from framework.composition.catalog import Catalog
from framework.composition.values import Reference, Target, map_leaves
from framework.signatures import Component

TYPES: Final[dict[str, tuple[type, ...]]] = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}
FINITE: Final = "; write a finite number"
LARGEST: Final = 2**63 - 1
"""The largest whole number: what an index or a seed of a tensor holds."""
BOUNDED: Final = f"; write a whole number up to {LARGEST}"


def fit(value: Any, annotation: str, catalog: Catalog) -> tuple[Any, list[str]]:
    """The value as the component receives it, each reference replaced by its `Target`; and what is wrong with it."""
    fitting = _Fitting(catalog)
    fitted = fitting.fit(value, parse_annotation(annotation))
    return fitted, fitting.messages


@final
class _Fitting:
    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.messages: list[str] = []

    def fit(self, value: Any, kind: ast.expr) -> Any:
        match kind:
            case ast.Constant(value=str() as text):
                return self.fit(value, parse_annotation(text))
            case _ if len(options(kind)) > 1:
                return self._union(value, kind)
            case ast.Subscript(value=head, slice=inner):
                return self._generic(value, kind, last_name(head), elements(inner))
            case ast.Constant(value=None):
                return value if value is None else self._refuse(value, kind)
            case ast.Name(id="Written"):
                return value
            case ast.Name(id=name) if name in TYPES:
                return self._plain(value, name, kind)
        return map_leaves(self._anything, value)

    def _plain(self, value: Any, name: str, kind: ast.expr) -> Any:
        is_instance = isinstance(value, TYPES[name]) and (name == "bool" or not isinstance(value, bool))
        if not is_instance:
            return self._refuse(value, kind, _hint(value, [name]))
        if name == "int" and abs(value) > LARGEST:
            return self._refuse(value, kind, BOUNDED)
        if name != "float":
            return value
        return float(value) if abs(value) <= sys.float_info.max else self._refuse(value, kind, FINITE)

    def _generic(self, value: Any, kind: ast.expr, head: str, inner: list[ast.expr]) -> Any:
        if head == "Literal":
            return value if value in choices(inner) else self._refuse(value, kind)
        if head in FACTORIES:
            return self._component(value, last_name(inner[-1]), kind)
        if head in SEQUENCES:
            return self._sequence(value, kind, head, inner)
        if head in MAPPINGS and len(inner) == 2:
            if not isinstance(value, dict):
                return self._refuse(value, kind)
            return {self.fit(key, inner[0]): self.fit(each, inner[1]) for key, each in value.items()}
        return map_leaves(self._anything, value)

    def _sequence(self, value: Any, kind: ast.expr, head: str, inner: list[ast.expr]) -> Any:
        if not isinstance(value, list | tuple):
            _, messages = self._attempt(value, inner[0])
            return self._refuse(value, kind, "" if messages else f"; write [{value!r}]")
        if is_fixed_length(inner):
            if len(inner) != len(value):
                return self._refuse(value, kind)
            return tuple(self.fit(each, one) for each, one in zip(value, inner, strict=True))
        values = [self.fit(each, inner[0]) for each in value]
        return tuple(values) if head in ("tuple", "Tuple") or (head == "Sequence" and isinstance(value, tuple)) else values

    def _component(self, value: Any, base: str, kind: ast.expr) -> Any:
        family = FAMILY_OF_BASE.get(base, "")
        part = [] if family else [each for each in self.catalog.members("parts") if each.name == base]
        if not isinstance(value, Reference):
            return self._refuse(value, kind, self._valid(family, part))
        target = self._resolve(value, family)
        if isinstance(target, Target):
            other = f"a component of `{target.component.family}`" if family else "another part"
            if (family and target.component.family != family) or (part and target.component not in part):
                self.messages.append(f"takes {describe(kind)}, and {value} is {other}{self._valid(family, part)}")
        return target

    def _valid(self, family: str, part: list[Component]) -> str:
        members = self.catalog.members(family) if family else part
        return f"; valid are: {', '.join(f'@{each.selector}' for each in members)}" if members else ""

    def _resolve(self, reference: Reference, family: str) -> Target | Reference:
        if reference.called:
            self.messages.append(f"{reference} builds an object while the recipe is read; write it without the brackets")
        components = self.catalog.find(reference.selector)
        if len(components) == 1:
            return Target(components[0], reference.scope)
        if components or self.catalog.is_complete:
            self.messages.append(self.catalog.complain(reference.selector, family))
        return reference

    def _union(self, value: Any, kind: ast.expr) -> Any:
        members = options(kind)
        for member in members:
            fitted, messages = self._attempt(value, member)
            if not messages:
                return fitted
        factories = [each for each in members if last_name(each) in FACTORIES]
        if isinstance(value, Reference) and factories:
            return self.fit(value, factories[0])
        if isinstance(value, list | tuple | dict) and len(members) == 2 and last_name(members[1]) == "None":
            return self.fit(value, members[0])
        return self._refuse(value, kind, _hint(value, map(last_name, members)))

    def _attempt(self, value: Any, kind: ast.expr) -> tuple[Any, list[str]]:
        trial = _Fitting(self.catalog)
        return trial.fit(value, kind), trial.messages

    def _anything(self, leaf: Any) -> Any:
        if isinstance(leaf, float) and not math.isfinite(leaf):
            return self._refuse(leaf, ast.Name("float"), FINITE)
        if isinstance(leaf, int) and abs(leaf) > LARGEST:
            return self._refuse(leaf, ast.Name("int"), BOUNDED)
        return self._resolve(leaf, "") if isinstance(leaf, Reference) else leaf

    def _refuse(self, value: Any, kind: ast.expr, hint: str = "") -> Any:
        self.messages.append(f"takes {describe(kind)}, not {value!r}{hint}")
        return value


def _hint(value: object, types: Iterable[str]) -> str:
    if not isinstance(value, float):
        return ""
    if not math.isfinite(value):
        return FINITE
    return f"; write {int(value)}" if value.is_integer() and "int" in types else ""
