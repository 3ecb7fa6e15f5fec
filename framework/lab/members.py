"""The registered components that are measured, built with the settings that a recipe would give them."""

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

INNER: Final[Mapping[str, str]] = {"critics": "BilinearCritic", "negatives": "InBatch", "bounds": "InfoNCEBound"}
"""By family, the component that a wrapper holds where no setting names one."""
Bindings = Mapping[str, Mapping[str, Any]]
"""Values that the user bound, by component and parameter."""
Caps = Mapping[tuple[str, str], int]
"""The largest value of a default, by component and setting."""


@final
@dataclass(frozen=True)
class Member:
    """A component with its settings: `defaults` that were made smaller, and `bindings` of the user, who `requested` it by name or not."""

    component: Component
    defaults: Mapping[str, Any]
    bindings: Bindings
    requested: bool = False

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def cls(self) -> type:
        """The class, imported if it was not yet."""
        cls: type = registry_of(self.component.family).get(self.name)
        return cls

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that differ from the defaults of the class."""
        return {**self.defaults, **self.bindings.get(self.name, {})}

    def build(self, **derived: Any) -> Any:
        return _factory(self.component, self.defaults, self.bindings)(**derived)

    def reason(self, error: UserError) -> str:
        """Why it cannot be measured, as a note; the error itself if the user bound a setting of it."""
        if self.name in self.bindings:
            raise error
        return str(error)


def chosen(family: str, only: Sequence[str] = (), settings: Sequence[str] = (), caps: Caps | None = None) -> list[Member]:
    """The members named in `only`, or all of the family. `settings` are bindings; `caps` hold for defaults alone."""
    plugins()
    catalog, registry = Catalog(), registry_of(family)
    names = registry.list()
    for name in only:
        if name not in names:
            raise UserError(f"--only {name}: there is no component of `{family}` with that name{advice(name, names)}.")
    bindings = _read(settings, catalog)
    for name in bindings:
        if only and name in names and name not in (*only, INNER.get(family)):
            raise UserError(f"--set {name}.{next(iter(bindings[name]))} changes nothing: --only names {', '.join(only)}; name {name} too.")
    return [
        Member(component, _capped(component, caps or {}, bindings.get(component.name, {})), bindings, component.name in only)
        for component in map(registry.describe, only or names)
    ]


def default(family: str, name: str) -> Factory[Any]:
    """A factory of a component with its defaults."""
    return _factory(registry_of(family).describe(name), {}, {})


def batch_caps(candidates: int) -> dict[tuple[str, str], int]:
    """The largest defaults that a batch of so many candidates can serve."""
    counts = (("WithinCrossMixture", "count"), ("TopK", "count"), ("MoCHi", "hardest"))
    return {("UniformSubset", "candidates"): candidates, **dict.fromkeys(counts, candidates - 1)}


def _capped(component: Component, caps: Caps, bound: Mapping[str, Any]) -> dict[str, int]:
    """The defaults that are larger than their cap, made smaller."""
    defaults = {each.name: each.default for each in component.settings if each.name not in bound}
    ours = {setting: most for (name, setting), most in caps.items() if name == component.name}
    return {name: most for name, most in ours.items() if (text := defaults.get(name)) and text.isdigit() and int(text) > most}


def _factory(component: Component, defaults: Mapping[str, Any], bindings: Bindings) -> Factory[Any]:
    bound = bindings.get(component.name, {})
    inner = {each.name: _inner(each) for each in component.settings if each.required and each.name not in bound}
    values = {name: value for name, value in inner.items() if value is not None} | {**defaults, **bound}
    built = {name: _factory(value.component, {}, bindings) if isinstance(value, Target) else value for name, value in values.items()}
    cls: Callable[..., Any] = registry_of(component.family).get(component.name)
    return partial(cls, **built)


def _inner(parameter: Parameter) -> Target | None:
    """The inner component of a parameter that takes one of a family in `INNER`."""
    for base, family in FAMILY_OF_BASE.items():
        if f"Factory[{base}]" in parameter.annotation and family in INNER:
            return Target(registry_of(family).describe(INNER[family]), "")
    return None


def _read(settings: Sequence[str], catalog: Catalog) -> Bindings:
    """Read `Component.setting=value` as the last lines of a recipe."""
    bindings: dict[str, dict[str, Any]] = {}
    for text in settings:
        statements, problems = parse(text, "--set")
        binding = statements[0] if len(statements) == 1 and not problems else None
        if not isinstance(binding, Binding):
            raise UserError(f"--set '{text}' is no binding; write Component.setting=value, as in --set HardWeighted.beta=2.0.")
        components = catalog.find(binding.selector)
        if len(components) != 1:
            raise UserError(f"--set '{text}': {catalog.complain(binding.selector)}.")
        name, parameters = components[0].name, {each.name: each for each in components[0].settings}
        if binding.parameter not in parameters:
            raise UserError(f"--set '{text}': {name} has no setting '{binding.parameter}'{advice(binding.parameter, parameters)}.")
        value, mistakes = fit(binding.value, parameters[binding.parameter].annotation, catalog)
        if mistakes:
            raise UserError(f"--set '{text}': {name}.{binding.parameter} {mistakes[0]}.")
        bindings.setdefault(name, {})[binding.parameter] = value
    return bindings
