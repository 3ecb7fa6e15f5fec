"""Bindings, scopes and macros that nothing uses: mistakes, unless a later binding replaced their component."""

from typing import final

from framework.composition.annotations import FAMILY_OF_BASE
from framework.composition.bindings import Bindings, ResolvedBinding
from framework.composition.catalog import Catalog
from framework.composition.parser import Binding
from framework.composition.problems import Problem, Report
from framework.composition.resolve import Resolver
from framework.composition.values import Macro, Reference, Unreadable, leaves
from framework.registry import advice, nearest

Scoped = tuple[str, str]
"""A component and the scope that it lives in."""


@final
class Usage:
    """Finds what nothing uses, after the tree was built."""

    def __init__(self, bindings: Bindings, resolver: Resolver, catalog: Catalog, report: Report) -> None:
        self.bindings, self.resolver, self.catalog, self.report = bindings, resolver, catalog, report

    def check(self) -> list[tuple[Binding, Binding]]:
        """Report what nothing uses; returns the bindings that are set aside, each with the one that replaced its component.

        `-b 'InfoNCE.negatives=@negatives.CrossSequence'` leaves the recipe's `RollingWindow.rows = 10` without a RollingWindow, as its
        author wants. A binding whose component nothing ever referred to is a mistake.
        """
        self._check_macros()
        self._check_overruled()
        set_aside = []
        uncertain, scopes = self._uncertain(), self.bindings.scopes()
        for each in self.bindings.in_effect.values():
            binding, scope = each.binding, each.binding.scope
            if binding in self.resolver.consumed:
                continue
            if scope and scope not in scopes:
                message = f"{binding.key}: no reference uses the scope '{scope}'{advice(scope, scopes)}."
                self.report(Problem.at(binding.place, message))
            elif each.component.selector not in uncertain:
                if remover := self._remover(each):
                    set_aside.append((binding, remover.binding))
                else:
                    self.report(Problem.at(binding.place, self._explain(each)))
        return set_aside

    def _check_overruled(self) -> None:
        """Report bindings that bindings with a scope overrule wherever they would count, though they come later."""
        for each, winners in self.resolver.overruled.items():
            if each.binding not in self.resolver.chosen and any(winner.order < each.order for winner in winners):
                keys = ", ".join(f"{winner.binding.key} ({winner.binding.place})" for winner in winners)
                message = f"{each.binding.key} has no effect, since a binding with a scope goes before one without: bind {keys}."
                self.report(Problem.at(each.binding.place, message))

    def _uncertain(self) -> set[str]:
        """Components that may belong where a reference is wrong: members of the families that such a place takes, and all below them."""
        wrong = [each.parameter.annotation for each in self.bindings.in_effect.values() if not each.is_valid]
        families = [name for base, name in FAMILY_OF_BASE.items() if any(f"[{base}]" in text for text in wrong)]
        starts = {(component.selector, "") for family in families for component in self.catalog.members(family)}
        return {selector for selector, _ in self._reachable(starts)}

    def _remover(self, unused: ResolvedBinding) -> ResolvedBinding | None:
        """The later binding, of another file or of the command line, that replaced the reference to a binding's component."""
        for old, new in self.bindings.replaced:
            if new.order > unused.order and new.binding.place.file != unused.binding.place.file:
                reachable = self._reachable({(each.component.selector, each.scope) for each in old.targets})
                if any(selector == unused.component.selector and unused.binding.scope in ("", scope) for selector, scope in reachable):
                    return new
        return None

    def _reachable(self, starts: set[Scoped]) -> set[Scoped]:
        """The components that some components hold, directly or further down, by all bindings of the program."""
        reachable, waiting = set(starts), list(starts)
        while waiting:
            selector, scope = waiting.pop()
            children = {
                (target.component.selector, target.scope or scope)
                for each in self.bindings.resolved
                if each.component.selector == selector and each.binding.scope in ("", scope)
                for target in each.targets
            }
            waiting += children - reachable
            reachable |= children
        return reachable

    def _explain(self, unused: ResolvedBinding) -> str:
        component, scope = unused.component, unused.binding.scope
        present = [node.name for node in self.resolver.nodes.values() if node.component.family == component.family]
        instead = f", its {component.family} are {', '.join(dict.fromkeys(present))}" if present and component.name not in present else ""
        inside = f" in the scope '{scope}'" if scope else ""
        key = unused.binding.key
        return f"{key}: this run has no {component.name}{inside}{instead}; refer to @{component.selector}, or remove the binding."

    def _check_macros(self) -> None:
        read = {leaf.name for binding in self.bindings.all for leaf in leaves(binding.value) if isinstance(leaf, Macro)}
        read |= {binding.selector for binding in self.resolver.consumed if not binding.parameter}
        for name, binding in self.bindings.macros.items():
            is_literal = not any(isinstance(leaf, Reference | Unreadable) for leaf in leaves(binding.value))
            is_read = binding in self.resolver.consumed or (name in read and not binding.place.on_command_line)
            if is_read or not is_literal:
                continue
            close = nearest(name, read - {name})
            hint = f"did you mean {close}?" if close else self._parameter_hint(binding)
            mend = f"{hint} Else remove it, or read it as %{name}" if hint else f"remove it, or read it as %{name}"
            self.report(Problem.at(binding.place, f"nothing reads the macro %{name}; {mend}."))

    def _parameter_hint(self, binding: Binding) -> str:
        keys = [f"{node.key}.{name}" for node in self.resolver.nodes.values() for name in node.settings if name == binding.selector]
        return f"did you mean {' or '.join(f'{key} = {binding.value!r}' for key in dict.fromkeys(keys))}?" if keys else ""
