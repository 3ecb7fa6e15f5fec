"""What each binding means by itself: its component and parameter, its macros, its value against the annotation."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, final

from framework.composition.annotations import Target, fit
from framework.composition.catalog import Catalog
from framework.composition.parser import REQUIRED, Binding, Macro, Reference, Unreadable
from framework.composition.problems import Problem
from framework.registry import advice
from framework.signatures import Component, Parameter

Report = Callable[[Problem], None]


@final
@dataclass(frozen=True, eq=False)
class Bound:
    """A binding that was understood. `value` holds a `Target` for each reference, and `Macro` where it is `%gin.REQUIRED`.

    `macros` are the definitions that the value was read from; it is `sound` if nothing is wrong with it.
    """

    binding: Binding
    order: int
    component: Component
    parameter: Parameter
    value: Any
    macros: tuple[Binding, ...]
    sound: bool

    @property
    def slot(self) -> tuple[str, str, str]:
        """What it sets: two bindings of one slot override each other."""
        return self.binding.scope, self.component.selector, self.parameter.name


@final
class Meaning:
    """The bindings of a program: those that hold, by slot, and those that later ones replaced.

    What is missing is told apart from what is wrong: an include that was not found may have had it.
    """

    def __init__(self, bindings: Iterable[Binding], catalog: Catalog, report: Report, report_absent: Report) -> None:
        self.catalog = catalog
        self.report, self.report_absent = report, report_absent
        bindings = list(bindings)
        self.order = {binding: number for number, binding in enumerate(bindings)}
        self.macros = {each.selector: each for each in bindings if not each.parameter}
        self.bound: list[Bound] = []
        self.read: set[str] = set()
        for binding in bindings:
            if not binding.parameter:
                self._check_macro(binding)
            elif understood := self._understand(binding):
                self.bound.append(understood)
        self.holding = {each.slot: each for each in self.bound}

    def replaced(self) -> Iterator[tuple[Bound, Bound]]:
        """Each binding that does not hold, with the one that does."""
        for each in self.bound:
            holding = self.holding[each.slot]
            if holding is not each:
                yield each, holding

    def _complain(self, binding: Binding, message: str) -> None:
        self.report(Problem.at(binding.place, f"{message}."))

    def _check_macro(self, binding: Binding) -> None:
        if binding.scope or "." in binding.selector:
            self._complain(binding, f"'{binding.key}' is no name for a macro: write one word, as in WIDTH = 200")
        if any(isinstance(each, Reference) for each in leaves(binding.value)):
            self._complain(binding, f"the macro {binding.key} holds a component: macros are for literals, bind the component itself")

    def _understand(self, binding: Binding) -> Bound | None:
        if "/" in binding.scope:
            self._complain(binding, f"'{binding.scope}' is a scope inside a scope: scopes are flat, as in model/Adam.learning_rate")
            return None
        found = self.catalog.find(binding.selector)
        if len(found) != 1:
            self._complain(binding, self.catalog.complain(binding.selector, used=self._named()))
            return None
        component = found[0]
        parameter = next((each for each in component.parameters if each.name == binding.parameter), None)
        if parameter is None or parameter.derived:
            self._complain(binding, _no_setting(binding, component, parameter))
            return None
        macros: list[Binding] = []
        messages: list[str] = []
        value = self._without_macros(binding.value, binding, macros, ())
        unread = any(isinstance(each, Unreadable) for each in leaves(value))
        if not unread and not any(isinstance(each, Macro) for each in leaves(value)):
            value = fit(value, parameter.annotation, self.catalog, messages.append)
        for message in messages:
            self._complain(binding, f"{binding.key} {message}" if message.startswith("takes") else f"{binding.key}: {message}")
        sound = not unread and not messages and not any(isinstance(each, Macro) and each.name != REQUIRED for each in leaves(value))
        return Bound(binding, self.order[binding], component, parameter, value, tuple(macros), sound)

    def _named(self) -> set[str]:
        """The components that the program names, on either side of a binding."""
        selectors = {each.selector for each in self.order if each.parameter}
        selectors |= {leaf.selector for each in self.order for leaf in leaves(each.value) if isinstance(leaf, Reference)}
        return {component.name for selector in selectors for component in self.catalog.find(selector)}

    def _without_macros(self, value: Any, binding: Binding, used: list[Binding], chain: tuple[str, ...]) -> Any:
        match value:
            case Macro(name=name) if name != REQUIRED:
                return self._expanded(name, binding, used, chain)
            case list() | tuple():
                return type(value)(self._without_macros(each, binding, used, chain) for each in value)
            case dict():
                return {key: self._without_macros(each, binding, used, chain) for key, each in value.items()}
        return value

    def _expanded(self, name: str, binding: Binding, used: list[Binding], chain: tuple[str, ...]) -> Any:
        self.read.add(name)
        if name in chain:
            self._complain(binding, f"the macros go around in a circle: {' -> '.join(f'%{each}' for each in (*chain, name))}")
        elif name not in self.macros:
            self.report_absent(Problem.at(binding.place, f"{binding.key}: there is no macro %{name}{advice(name, self.macros)}."))
        else:
            used.append(self.macros[name])
            return self._without_macros(self.macros[name].value, binding, used, (*chain, name))
        return Macro(name)


def _no_setting(binding: Binding, component: Component, parameter: Parameter | None) -> str:
    if parameter is not None:
        return f"{binding.key} is derived: Python passes it to {component.name} when it is built; remove the binding"
    names = [each.name for each in component.settings]
    where = f"{component.name} ({component.file}:{component.line})"
    return f"{where} has no parameter '{binding.parameter}'{advice(binding.parameter, names)}"


def leaves(value: Any) -> Iterator[Any]:
    """The values inside lists, tuples and dicts."""
    match value:
        case list() | tuple():
            for each in value:
                yield from leaves(each)
        case dict():
            for key, each in value.items():
                yield from leaves(key)
                yield from leaves(each)
        case _:
            yield value


def targets(value: Any) -> list[Target]:
    """The components that a value refers to."""
    return [each for each in leaves(value) if isinstance(each, Target)]
