"""Which component holds which: the tree from the root down, by gin's rules of scopes."""

from collections.abc import Callable
from typing import Any, final

from framework.composition.annotations import Target, describe_text
from framework.composition.bindings import Bound, Meaning, leaves
from framework.composition.catalog import Catalog
from framework.composition.parser import REQUIRED, Binding, Macro, Reference, Unreadable
from framework.composition.problems import Place, Problem
from framework.composition.tree import Link, Node, PythonDefault, Setting
from framework.signatures import Component, Parameter
from framework.source_text import literal


@final
class Wiring:
    """Builds the tree and remembers which bindings it consumed.

    gin's rules: `model/Adam.x` overrides `Adam.x` inside the scope `model`; what a component holds without a scope of its own lives in
    the scope of its holder.
    """

    def __init__(self, meaning: Meaning, catalog: Catalog, report: Callable[[Problem], None]) -> None:
        self.meaning = meaning
        self.catalog = catalog
        self.report = report
        self.consumed: set[Binding] = set()
        self.nodes: dict[tuple[str, str], Node] = {}
        self._keyed = {(scope, selector) for scope, selector, _ in meaning.holding}

    def build(self, root: str, place: Place) -> Node | None:
        """The tree of a root."""
        found = self.catalog.find(root)
        if len(found) != 1:
            self.report(Problem.at(place, f"{self.catalog.complain(root)}."))
            return None
        return self._node(found[0], "", place, ())

    def _node(self, component: Component, scope: str, place: Place, chain: tuple[str, ...]) -> Node:
        if known := self.nodes.get((scope, component.selector)):
            return known
        node = Node(component, self._key(component, scope), place)
        chain = (*chain, node.key)
        for parameter in component.settings:
            setting = self._setting(component, parameter, scope, place)
            if setting is not None:
                value = self._wired(setting.value, scope, setting.binding.place if setting.binding else place, chain)
                node.settings[parameter.name] = Setting(parameter, value, setting.binding, setting.replaced, setting.macros, setting.sound)
        self.nodes[(scope, component.selector)] = node
        return node

    def _key(self, component: Component, scope: str) -> str:
        name = component.name if len(self.catalog.find(component.name)) == 1 else component.selector
        return f"{scope}/{name}" if scope and (scope, component.selector) in self._keyed else name

    def _setting(self, component: Component, parameter: Parameter, scope: str, place: Place) -> Setting | None:
        slots = dict.fromkeys([(scope, component.selector, parameter.name), ("", component.selector, parameter.name)])
        bound = [self.meaning.holding[slot] for slot in slots if slot in self.meaning.holding]
        for each in bound:
            self.consumed |= {each.binding, *each.macros}
        if bound and not _is_unset(bound[0]):
            earlier = [old for old, new in self.meaning.replaced() if new is bound[0]]
            replaced = (*(each.binding.place for each in bound[1:]), *(each.binding.place for each in reversed(earlier)))
            return Setting(parameter, bound[0].value, bound[0].binding, replaced, bound[0].macros, bound[0].sound)
        if bound or parameter.default is None:
            key = f"{self._key(component, scope)}.{parameter.name}"
            message = f"{key} is required and nothing sets it: bind {key} to {describe_text(parameter.annotation)}."
            self.report(Problem.at(bound[0].binding.place if bound else place, message))
            return None
        return Setting(parameter, _default(parameter.default), None, (), (), sound=True)

    def _wired(self, value: Any, scope: str, place: Place, chain: tuple[str, ...]) -> Any:
        match value:
            case Target(component=component, scope=own):
                if self._key(component, own or scope) in chain:
                    circle = " -> ".join((*chain, self._key(component, own or scope)))
                    self.report(Problem.at(place, f"the components hold each other in a circle: {circle}; give one a scope of its own."))
                    return None
                return Link(self._node(component, own or scope, place, chain), own)
            case list() | tuple():
                return type(value)(self._wired(each, scope, place, chain) for each in value)
            case dict():
                return {key: self._wired(each, scope, place, chain) for key, each in value.items()}
            case Reference() | Macro() | Unreadable():
                return None
        return value


def _is_unset(bound: Bound) -> bool:
    return any(each == Macro(REQUIRED) for each in leaves(bound.value))


def _default(text: str) -> Any:
    try:
        return literal(text)
    except ValueError:
        return PythonDefault(text)
