"""Each binding by itself: its component and parameter, its macros, its value against the annotation."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

from framework.composition import renamed
from framework.composition.catalog import Catalog
from framework.composition.parser import Binding
from framework.composition.problems import Problem, Report
from framework.composition.types import fit
from framework.composition.values import REQUIRED, Edit, Macro, Reference, Target, Unreadable, ValueMistake, leaves, literal, map_leaves
from framework.registry import advice
from framework.signatures import Component, Parameter

Slot = tuple[str, str, str]
"""Scope, component and parameter: two bindings of one slot override each other."""


@final
@dataclass(frozen=True, eq=False)
class ResolvedBinding:
    """A binding whose component and parameter exist. `value` holds a `Target` for each reference, and no macro but `%gin.REQUIRED`.

    `macros` are the definitions that the value was read from.
    """

    binding: Binding
    order: int
    component: Component
    parameter: Parameter
    value: Any
    macros: tuple[Binding, ...]
    is_valid: bool
    written: Any
    """The value before its references were resolved, as a later `+=` starts from."""

    @property
    def slot(self) -> Slot:
        return self.binding.scope, self.component.selector, self.parameter.name

    @property
    def targets(self) -> list[Target]:
        """The components that the value refers to."""
        return [each for each in leaves(self.value) if isinstance(each, Target)]


@final
class Bindings:
    """The bindings of a program: those in effect, by slot, and those that later ones replaced.

    `report_absent` takes what is missing, which an include that was not found may have had; `report` takes everything else.
    """

    def __init__(self, bindings: Iterable[Binding], catalog: Catalog, report: Report, report_absent: Report) -> None:
        self.catalog = catalog
        self.report, self.report_absent = report, report_absent
        self.all = tuple(bindings)
        self.macros = {each.selector: each for each in self.all if not each.parameter}
        self.resolved: list[ResolvedBinding] = []
        for order, binding in enumerate(self.all):
            if not binding.parameter:
                self._check_macro(binding)
            elif resolved := self._resolve(binding, order):
                self.resolved.append(resolved)
        self.in_effect = {each.slot: each for each in self.resolved}
        pairs = [(each, self.in_effect[each.slot]) for each in self.resolved]
        self.replaced = [(old, new) for old, new in pairs if old is not new]
        """Each binding that is not in effect, with the one that is."""

    def scopes(self) -> list[str]:
        """The scopes that references name."""
        return sorted({target.scope for each in self.resolved for target in each.targets} - {""})

    def _complain(self, binding: Binding, message: str) -> None:
        self.report(Problem.at(binding.place, f"{message}."))

    def _check_macro(self, binding: Binding) -> None:
        if binding.scope or "." in binding.selector:
            self._complain(binding, f"'{binding.key}' is no name for a macro: write one word, as in WIDTH = 200")
        if any(isinstance(each, Reference) for each in leaves(binding.value)):
            self._complain(binding, f"the macro {binding.key} holds a component: macros are for literals, bind the component itself")

    def _resolve(self, binding: Binding, order: int) -> ResolvedBinding | None:
        if "/" in binding.scope:
            self._complain(binding, f"'{binding.scope}' is a scope inside a scope: scopes are flat, as in model/Adam.learning_rate")
            return None
        components = self.catalog.find(binding.selector)
        if not (components or self.catalog.is_complete):
            return None
        if len(components) != 1:
            self._complain(binding, self._key_hint(binding) or self.catalog.complain(binding.selector, used=self._used_names()))
            return None
        parameter = next((each for each in components[0].parameters if each.name == binding.parameter), None)
        if parameter is None or parameter.derived:
            self._complain(binding, _no_setting(binding, components[0], derived=parameter is not None))
            return None
        return self._fit(binding, order, components[0], parameter)

    def _key_hint(self, binding: Binding) -> str:
        """What to write for `Agent.heads.reward = value`; empty where the binding is nothing of the kind."""
        holder, _, name = binding.selector.rpartition(".")
        settings = [each.name for component in self.catalog.find(holder) for each in component.settings]
        key = f"{holder}.{name}"
        return f"{key} is no component: for one key of a dictionary write {key}['{binding.parameter}']" if name in settings else ""

    def _fit(self, binding: Binding, order: int, component: Component, parameter: Parameter) -> ResolvedBinding:
        macros: list[Binding] = []
        messages: list[str] = []
        try:
            written = self._expand(binding.value, binding, macros, ())
            if binding.edit is not None:
                written = self._edited(binding.edit, written, binding, (component, parameter), macros)
            value = written
            is_readable = not any(isinstance(each, Macro | Unreadable) for each in leaves(value))
            if is_readable:
                value, messages = fit(value, parameter.annotation, self.catalog)
                messages = [message + _moved(component, parameter, value) for message in messages]
        except ValueMistake as mistake:
            value = written = Unreadable()
            is_readable, messages = False, [str(mistake)]
        for message in messages:
            self._complain(binding, f"{binding.key} {message}" if message.startswith("takes") else f"{binding.key}: {message}")
        return ResolvedBinding(binding, order, component, parameter, value, tuple(macros), is_readable and not messages, written)

    def _edited(self, edit: Edit, value: Any, binding: Binding, target: tuple[Component, Parameter], macros: list[Binding]) -> Any:
        """The value of an earlier binding, or the default, as another changes it; `macros` collects those of the earlier one."""
        component, parameter = target
        before = None if parameter.default is None else literal(parameter.default)
        for scope in ("", binding.scope):
            slot = scope, component.selector, parameter.name
            if earlier := next((each for each in reversed(self.resolved) if each.slot == slot), None):
                before, macros[:] = earlier.written, [*earlier.macros, *macros]
        if Macro(REQUIRED) in leaves(before) or (before is None and parameter.default is None):
            raise ValueMistake("there is no value yet to change; bind the whole of it with =")
        return before if isinstance(before, Unreadable) else edit(before, value, binding.key)

    def _used_names(self) -> set[str]:
        """The components that the program names, on either side of a binding."""
        selectors = {each.selector for each in self.all if each.parameter}
        selectors |= {leaf.selector for each in self.all for leaf in leaves(each.value) if isinstance(leaf, Reference)}
        return {component.name for selector in selectors for component in self.catalog.find(selector)}

    def _expand(self, value: Any, binding: Binding, macros: list[Binding], chain: tuple[str, ...]) -> Any:
        """The value with every macro replaced by what it stands for; `macros` collects their definitions."""

        def expand_leaf(leaf: Any) -> Any:
            if not isinstance(leaf, Macro) or leaf.name == REQUIRED:
                return leaf
            if leaf.name in chain:
                circle = " -> ".join(f"%{each}" for each in (*chain, leaf.name))
                self._complain(binding, f"the macros go around in a circle: {circle}")
            elif leaf.name not in self.macros:
                message = f"{binding.key}: there is no macro {leaf}{advice(leaf.name, self.macros)}."
                self.report_absent(Problem.at(binding.place, message))
            else:
                macros.append(self.macros[leaf.name])
                return self._expand(self.macros[leaf.name].value, binding, macros, (*chain, leaf.name))
            return leaf

        return map_leaves(expand_leaf, value)


def _moved(component: Component, parameter: Parameter, value: Any) -> str:
    note = renamed.VALUES.get((f"{component.name}.{parameter.name}", value)) if isinstance(value, str) else None
    return f"; {note}" if note else ""


def _no_setting(binding: Binding, component: Component, *, derived: bool) -> str:
    if derived:
        return f"{binding.key} is derived: Python passes it to {component.name} when it is built; remove the binding"
    if note := renamed.SETTINGS.get(f"{component.name}.{binding.parameter}"):
        return f"{component.name} has no parameter '{binding.parameter}' any more: {note}"
    names = [each.name for each in component.settings]
    return f"{component.name} ({component.place}) has no parameter '{binding.parameter}'{advice(binding.parameter, names)}"
