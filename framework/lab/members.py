"""Which components are measured, and with which settings: everything registered, built as a recipe would build it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, final

from framework.composition.annotations import FAMILY_OF_BASE
from framework.composition.catalog import Catalog
from framework.composition.parser import Binding, parse
from framework.composition.types import fit
from framework.composition.values import Target
from framework.data import Factory
from framework.errors import UserError
from framework.registry import advice, plugins, registry_of
from framework.signatures import Component, Parameter

HELD: Final[Mapping[str, str]] = {"critics": "BilinearCritic", "negatives": "InBatch", "bounds": "InfoNCEBound"}
"""What a component is given to hold where it must hold one of that family, and no setting says which."""
Settings = Mapping[str, Mapping[str, Any]]
"""By component and parameter, what the user bound."""


@final
@dataclass(frozen=True)
class Member:
    """A component with the settings that it is measured with; `named` says that the user asked for it."""

    component: Component
    given: Mapping[str, Any]
    bound: Settings
    named: bool = False

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def cls(self) -> type:
        """Its class, imported now if it was not yet."""
        found: type = registry_of(self.component.family).get(self.name)
        return found

    @property
    def by_hand(self) -> bool:
        """Whether the user said a setting of it: what is wrong with that is then refused, not noted."""
        return self.name in self.bound

    def build(self, **derived: Any) -> Any:
        factory: Factory[Any] = _factory(self.component, self.given, self.bound)
        return factory(**derived)

    def takes(self, setting: str) -> bool:
        return any(each.name == setting for each in self.component.settings)


def chosen(family: str, only: Sequence[str], settings: Sequence[str], smaller: Mapping[tuple[str, str], int] | None = None) -> list[Member]:
    """The members that are asked for, all where none is named; `smaller` has what defaults are at most."""
    plugins()
    known = Catalog()
    registry = registry_of(family)
    names = registry.list()
    for name in only:
        if name not in names:
            raise UserError(f"--only {name}: there is no component of `{family}` with that name{advice(name, names)}.")
    bound = _read(settings, known)
    for name in bound:
        if only and name in names and name not in (*only, HELD.get(family)):
            raise UserError(f"--set {name}.{next(iter(bound[name]))} changes nothing: --only names {', '.join(only)}; name {name} too.")
    found = []
    for name in only or names:
        component, ours = registry.describe(name), bound.get(name, {})
        most = {setting: value for (owner, setting), value in (smaller or {}).items() if owner == name and setting not in ours}
        found.append(
            Member(component, {each: value for each, value in most.items() if _exceeds(component, each, value)}, bound, name in only)
        )
    return found


def held(family: str, name: str) -> Factory[Any]:
    """A factory of a component with its defaults."""
    return _factory(registry_of(family).describe(name), {}, {})


def _factory(component: Component, given: Mapping[str, Any], bound: Settings) -> Factory[Any]:
    ours = bound.get(component.name, {})
    required = {each.name: _default_of(each) for each in component.settings if each.required and each.name not in ours}
    standing = {name: target for name, target in required.items() if target is not None}
    values = {name: _resolved(value, bound) for name, value in {**standing, **given, **ours}.items()}
    cls: Callable[..., Any] = registry_of(component.family).get(component.name)
    return partial(cls, **values)


def _default_of(parameter: Parameter) -> Target | None:
    """What is held where the parameter names a family; None, and so an error of Python's, where it names something else."""
    for base, family in FAMILY_OF_BASE.items():
        if f"Factory[{base}]" in parameter.annotation and family in HELD:
            return Target(registry_of(family).describe(HELD[family]), "")
    return None


def _resolved(value: Any, bound: Settings) -> Any:
    return _factory(value.component, {}, bound) if isinstance(value, Target) else value


def _exceeds(component: Component, setting: str, most: int) -> bool:
    default = next((each.default for each in component.settings if each.name == setting), None)
    return default is not None and default.isdigit() and int(default) > most


def _read(settings: Sequence[str], catalog: Catalog) -> Settings:
    """Read `Component.setting=value` as a recipe's last lines would be."""
    bound: dict[str, dict[str, Any]] = {}
    for text in settings:
        statements, problems = parse(text, "--set")
        binding = statements[0] if len(statements) == 1 and not problems else None
        if not isinstance(binding, Binding):
            raise UserError(f"--set '{text}' is no binding; write Component.setting=value, as in --set HardWeighted.beta=2.0.")
        name, setting = binding.selector, binding.parameter
        found = catalog.find(name)
        if len(found) != 1:
            raise UserError(f"--set '{text}': {catalog.complain(name)}.")
        parameters = {each.name: each for each in found[0].settings}
        if setting not in parameters:
            raise UserError(f"--set '{text}': {name} has no setting '{setting}'{advice(setting, parameters)}.")
        value, wrong = fit(binding.value, parameters[setting].annotation, catalog)
        if wrong:
            raise UserError(f"--set '{text}': {name}.{setting} {wrong[0]}.")
        bound.setdefault(found[0].name, {})[setting] = value
    return bound
