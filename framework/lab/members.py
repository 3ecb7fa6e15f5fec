"""The registered components that are measured, built with the settings that a recipe would give them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, final

import torch

from framework.composition.annotations import FAMILY_OF_BASE
from framework.composition.bindings import Bindings
from framework.composition.catalog import Catalog
from framework.composition.factory import freeze
from framework.composition.overrides import statements
from framework.composition.parser import Binding, parse
from framework.composition.problems import Problem
from framework.composition.resolve import Resolver
from framework.composition.values import Reference
from framework.data import Factory
from framework.errors import Place, UserError
from framework.registry import REMEDY, advice, plugins, registry_of
from framework.signatures import Component

INNER: Final[Mapping[str, str]] = {
    "critics": "BilinearCritic",
    "negatives": "InBatch",
    "bounds": "InfoNCEBound",
    "values": "NormalValue",
    "encoders": "ConvEncoder",
    "actor_critics": "DynamicsBackprop",
}
"""By family, the component that a wrapper holds where no setting names one."""
FACTORY: Final = re.compile(r"(?:[\w.]+\.)?(?:Factory\[|Callable\[\.\.\., )(?:[\w.]+\.)?(\w+)\]")
"""A setting that takes one component, as source or an imported class writes it."""
LABORATORY: Final = Place("the laboratory", 1)
"""The place of bindings that no user wrote."""
Caps = Mapping[tuple[str, str], int]
"""The largest value of a default, by component and setting."""


@final
@dataclass(frozen=True)
class Member:
    """A component with the `settings` that differ from its defaults; the user named it (`requested`), bound a setting of it, or neither."""

    component: Component
    build: Factory[Any]
    settings: Mapping[str, Any]
    requested: bool
    bound: bool

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def cls(self) -> type[Any]:
        cls: type[Any] = registry_of(self.component.family).get(self.name)
        return cls

    def seeded(self, seed: int, **derived: Any) -> Any:
        """The component with initial parameters of that seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.build(**derived)

    def reason(self, error: UserError) -> str:
        """Why it cannot be measured, as a note; the error itself if the user bound a setting of it."""
        if self.bound:
            raise error
        return error.message


def chosen(
    family: str, only: Sequence[str] = (), settings: Sequence[str] = (), caps: Caps | None = None, flag: str = "--only"
) -> list[Member]:
    """The members named in `only`, or all of the family. `settings` are bindings; `caps` hold for defaults alone."""
    plugins()
    names = registry_of(family).list()
    for name in only:
        if name not in names:
            raise UserError(f"{flag} {name}: there is no component of `{family}` with that name{advice(name, names)}; {REMEDY}.")
    bindings = [_binding(text, number) for number, text in enumerate(statements(settings), 1)]
    bound = {each.selector.rpartition(".")[2]: each.key for each in bindings}
    for name, key in bound.items():
        if only and name in names and name not in (*only, INNER.get(family)):
            raise UserError(f"-b {key} changes nothing: --only names {', '.join(only)}; name {name} too.")
    return [
        _member(registry_of(family).describe(name), bindings, caps or {}, requested=name in only, bound=name in bound)
        for name in only or names
    ]


def member_of(family: str, name: str, settings: Sequence[str] = ()) -> Member:
    """One component; `settings` may be of those that it holds, too."""
    return _member(registry_of(family).describe(name), [*map(_binding, settings, count(1))], {}, requested=True, bound=bool(settings))


def batch_caps(candidates: int) -> Caps:
    """The largest defaults that a batch of so many candidates can serve."""
    counts = (("WithinCrossMixture", "count"), ("TopK", "count"), ("MoCHi", "hardest"))
    return {("UniformSubset", "candidates"): candidates, **dict.fromkeys(counts, candidates - 1)}


def _binding(text: str, number: int) -> Binding:
    statements, problems = parse(text, f"-b '{text}'", number=number)
    if problems or len(statements) != 1 or not isinstance(statements[0], Binding) or not statements[0].parameter:
        raise UserError(f"-b '{text}' is no binding; write Component.setting=value, as in -b HardWeighted.beta=2.0.")
    return statements[0]


def _member(component: Component, bindings: Sequence[Binding], caps: Caps, *, requested: bool, bound: bool) -> Member:
    problems: list[Problem] = []
    catalog = Catalog()
    resolved = Bindings([*_defaults(component, caps), *bindings], catalog, problems.append, problems.append)
    node = Resolver(resolved, catalog, problems.append).build(component.selector, LABORATORY)
    if node is None or problems:
        raise UserError("\n".join(each.message if each.place == LABORATORY else str(each) for each in problems))
    settings = {name: setting.value for name, setting in node.settings.items() if setting.binding}
    return Member(component, freeze(node), settings, requested, bound)


def _defaults(component: Component, caps: Caps) -> Iterator[Binding]:
    """Bindings of the defaults that are larger than their cap, and of the inner component that a wrapper must hold."""
    for each in component.settings:
        cap = caps.get((component.name, each.name))
        if cap is not None and each.default is not None and each.default.isdigit() and int(each.default) > cap:
            yield Binding("", component.selector, each.name, cap, LABORATORY)
        factory = FACTORY.fullmatch(each.annotation) if each.required else None
        family = FAMILY_OF_BASE.get(factory[1], "") if factory else ""
        if family in INNER:
            inner = registry_of(family).describe(INNER[family])
            yield Binding("", component.selector, each.name, Reference("", inner.selector, called=False), LABORATORY)
            yield from _defaults(inner, caps)
