"""Which component holds which: the tree from the root down, by gin's rules of scopes."""

from typing import Any, final

from framework.composition.annotations import describe, parse_annotation
from framework.composition.bindings import Bindings, ResolvedBinding
from framework.composition.catalog import Catalog
from framework.composition.parser import Binding
from framework.composition.problems import Problem, Report
from framework.composition.tree import Link, Node, Setting
from framework.composition.values import REQUIRED, Macro, Target, leaves, literal, map_leaves
from framework.errors import Place
from framework.signatures import Component, Parameter


@final
class Resolver:
    """Builds the tree and collects the bindings that it consumed.

    gin's rules: `model/Adam.x` overrides `Adam.x` inside the scope `model`; a component that is referred to without a scope lives in the
    scope of its holder.
    """

    def __init__(self, bindings: Bindings, catalog: Catalog, report: Report) -> None:
        self.bindings = bindings
        self.catalog = catalog
        self.report = report
        self.consumed: set[Binding] = set()
        self.chosen: set[Binding] = set()
        self.overruled: dict[ResolvedBinding, list[ResolvedBinding]] = {}
        """Bindings without a scope, each with those with one that go before it."""
        self.nodes: dict[tuple[str, str], Node] = {}
        self._scoped = {(scope, selector) for scope, selector, _ in bindings.in_effect}

    def build(self, root: str, place: Place) -> Node | None:
        """The tree of a root, `parts.Run` or `scope/Agent`."""
        scope, _, selector = root.rpartition("/")
        components = self.catalog.find(selector)
        if len(components) != 1:
            self.report(Problem.at(place, f"{self.catalog.complain(selector)}."))
            return None
        return self._node(components[0], scope, place, ())

    def _node(self, component: Component, scope: str, place: Place, chain: tuple[str, ...]) -> Node:
        if (scope, component.selector) in self.nodes:
            return self.nodes[scope, component.selector]
        node = Node(component, self._key(component, scope), place)
        for parameter in component.settings:
            setting = self._setting(node, parameter, scope, (*chain, node.key))
            if setting is not None:
                node.settings[parameter.name] = setting
        self.nodes[scope, component.selector] = node
        return node

    def _key(self, component: Component, scope: str) -> str:
        name = component.name if len(self.catalog.find(component.name)) == 1 else component.selector
        return f"{scope}/{name}" if scope and (scope, component.selector) in self._scoped else name

    def _setting(self, node: Node, parameter: Parameter, scope: str, chain: tuple[str, ...]) -> Setting | None:
        slots = dict.fromkeys((each, node.component.selector, parameter.name) for each in (scope, ""))
        candidates = [self.bindings.in_effect[slot] for slot in slots if slot in self.bindings.in_effect]
        self.consumed |= {each.binding for each in candidates}
        for each in candidates[:1]:
            self.consumed |= {*each.macros}
            self.chosen.add(each.binding)
        for each in candidates[1:]:
            self.overruled.setdefault(each, []).append(candidates[0])
        if candidates and Macro(REQUIRED) not in leaves(candidates[0].value):
            chosen = candidates[0]
            earlier = [old for old, new in self.bindings.replaced if new is chosen]
            replaced = tuple(each.binding.place for each in (*candidates[1:], *reversed(earlier)))
            value = self._link(chosen.value, scope, chosen.binding.place, chain)
            return Setting(parameter, value, chosen.binding, replaced, chosen.macros)
        if not candidates and parameter.default is not None:
            return Setting(parameter, literal(parameter.default))
        key = f"{node.key}.{parameter.name}"
        message = f"{key} is required and nothing sets it: bind {key} to {describe(parse_annotation(parameter.annotation))}."
        self.report(Problem.at(candidates[0].binding.place if candidates else node.place, message))
        return None

    def _link(self, value: Any, scope: str, place: Place, chain: tuple[str, ...]) -> Any:
        """The value with a `Link` for each `Target`."""

        def link_leaf(leaf: Any) -> Any:
            if not isinstance(leaf, Target):
                return leaf
            key = self._key(leaf.component, leaf.scope or scope)
            if key in chain:
                circle = " -> ".join((*chain, key))
                self.report(Problem.at(place, f"the components hold each other in a circle: {circle}; give one a scope of its own."))
                return leaf
            return Link(self._node(leaf.component, leaf.scope or scope, place, chain), leaf.scope)

        return map_leaves(link_leaf, value)
