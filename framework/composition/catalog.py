"""The components that a recipe can name: the built-in ones, and those of the modules that it imports."""

from collections.abc import Iterable
from typing import final

from framework.composition import renamed
from framework.registration import place_of
from framework.registry import REMEDY, advice, components, plugins, unregistered
from framework.signatures import FAMILIES, Component


@final
class Catalog:
    """Finds a component by `Name` or `family.Name`. Installed plugins are loaded when a name is not found without them.

    `is_complete` is False where an import failed, which may have brought a name that is not found.
    """

    def __init__(self, *, is_complete: bool = True) -> None:
        self.is_complete = is_complete
        self._read()

    def _read(self) -> None:
        self._families = {family: components(family) for family in FAMILIES}

    def find(self, selector: str) -> list[Component]:
        """Every component of that name: one, none if it is unknown, several if it needs its family before it."""
        matches = self._match(selector)
        if not matches and any(not plugin.error for plugin in plugins()):
            self._read()
            matches = self._match(selector)
        return matches

    def members(self, family: str) -> list[Component]:
        """The components of a family."""
        return list(self._families.get(family, {}).values())

    def complain(self, selector: str, family: str = "", used: Iterable[str] = (), others: Iterable[str] = ()) -> str:
        """Why a selector names no component, or more than one.

        The nearest name is one of the family, or of any with `others` if none is known; those of the family, or else `used`, are listed.
        """
        matches = self.find(selector)
        if len(matches) > 1:
            return f"'{selector}' is ambiguous: write {' or '.join(each.selector for each in matches)}"
        prefix, _, name = selector.rpartition(".")
        if prefix and prefix not in FAMILIES:
            return f"there is no family '{prefix}'{advice(prefix, FAMILIES)}"
        if name in renamed.COMPONENTS:
            return f"there is no component '{name}': it is {renamed.COMPONENTS[name]} now"
        if own := unregistered(name):
            cls, kind = own
            return f"the class {name} ({place_of(cls)}) is not registered: write @{kind}.register above it"
        family = family or prefix
        every = [each for members in self._families.values() for each in members]
        names, listed = ([*self._families[family]],) * 2 if family else ([*every, *others], sorted({*used}))
        where = f" in `{family}`" if family else ""
        near = advice(name, names, listed)
        return f"there is no component '{name}'{where}{near}" + (
            f" {REMEDY[0].upper()}{REMEDY[1:]}" if near.endswith("?") else f"; {REMEDY}"
        )

    def _match(self, selector: str) -> list[Component]:
        prefix, _, name = selector.rpartition(".")
        families = [prefix] if prefix else list(self._families)
        return [self._families[each][name] for each in families if name in self._families.get(each, {})]
