"""The components that a recipe can name: the built-in ones, and those of the modules that were imported for it."""

from collections.abc import Iterable, Mapping
from typing import final

from framework.registry import REMEDY, advice, components, plugins
from framework.signatures import FAMILIES, Component


@final
class Catalog:
    """Finds a component by `Name` or `family.Name`; installed plugins are loaded when a name is not found without them."""

    def __init__(self) -> None:
        self._families = _known()

    def find(self, selector: str) -> list[Component]:
        """Every component of that name: one, none if it is unknown, several if it needs its family before it."""
        if not (found := self._match(selector)) and any(not plugin.error for plugin in plugins()):
            self._families = _known()
            found = self._match(selector)
        return found

    def members(self, family: str) -> list[Component]:
        """The components of a family."""
        return list(self._families.get(family, {}).values())

    def complain(self, selector: str, family: str = "", used: Iterable[str] = ()) -> str:
        """Why a selector names no component, or more than one; `used` are the names to list where no family is known."""
        found = self.find(selector)
        if len(found) > 1:
            return f"'{selector}' is ambiguous: write {' or '.join(each.selector for each in found)}"
        prefix, _, name = selector.rpartition(".")
        if prefix and prefix not in FAMILIES:
            return f"there is no family '{prefix}'{advice(prefix, FAMILIES)}"
        family = family or prefix
        names = list(self._families[family] if family else self._everything())
        where = f" in `{family}`" if family else ""
        listed = names if family else sorted({*used}) or names
        return f"there is no component '{name}'{where}{advice(name, names, listed)}; {REMEDY}"

    def _everything(self) -> dict[str, Component]:
        return {each.name: each for members in self._families.values() for each in members.values()}

    def _match(self, selector: str) -> list[Component]:
        prefix, _, name = selector.rpartition(".")
        families = [prefix] if prefix else list(self._families)
        return [self._families[each][name] for each in families if name in self._families.get(each, {})]


def _known() -> Mapping[str, Mapping[str, Component]]:
    return {family: components(family) for family in FAMILIES}
