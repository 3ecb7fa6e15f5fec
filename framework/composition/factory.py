"""From a component with its settings to a frozen factory that reports where its settings were bound."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, final

from framework.composition.tree import Link, Node
from framework.composition.values import PythonDefault, leaves, map_leaves
from framework.composition.versions import Version
from framework.errors import Place, UserError
from framework.registration import check_built
from framework.registry import registry_of

TOO_LARGE: Final = re.compile(r"overflow|allocate memory|not enough memory|out of memory|too big|dimension exceeded", re.IGNORECASE)
"""How torch and numpy refuse a size: only the type of some of these errors is their own."""
TOO_SMALL: Final = re.compile(r"negative (dimension|number|power)|no numbers|division|modulo|out of bounds|greater than 0")
"""How torch, its modules, the check of a recipe and Python refuse a size below 1."""
SMALL: Final = 1000
"""No number up to this is too large by itself."""


@final
class ComponentFactory(partial[Any]):
    """The class of a node with its settings. `factory(**derived)` builds the component; it pickles to a spawned process.

    A `UserError` of the constructor leaves it with the place of the binding that caused it; the innermost factory decides.
    """

    node: Node
    recipe: str

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled behind the version of the user's modules that the class is from, so that another process finds it."""
        return _restored, (Version.holding(self.func.__module__), *super().__reduce__())

    def __call__(self, /, *arguments: Any, **derived: Any) -> Any:
        try:
            component = super().__call__(*arguments, **derived)
            family = self.node.component.family
            check_built(component, registry_of(family).base, family)
            return component
        except UserError as error:
            error.place = error.place or self._blamed(error.message)
            raise
        except (ArithmeticError, IndexError, MemoryError, RuntimeError, TypeError, ValueError) as error:
            message = _wrong_size(self.node, error)
            if message is None:
                raise
            raise UserError(message, place=self._blamed(message)) from error

    def _blamed(self, message: str) -> Place:
        return blame(message, [self.node], self.recipe) or self.node.place


def _restored(version: Version | None, cls: type[ComponentFactory], arguments: tuple[Any, ...], state: Any) -> ComponentFactory:
    factory: Any = cls(*arguments)
    factory.__setstate__(state)
    restored: ComponentFactory = factory
    return restored


def freeze(node: Node, recipe: str = "") -> ComponentFactory:
    """The factory of a node, every component inside its settings frozen likewise; `recipe` is the file that bindings are preferred of."""
    settings = {
        name: map_leaves(lambda leaf: freeze(leaf.node, recipe) if isinstance(leaf, Link) else leaf, setting.value)
        for name, setting in node.settings.items()
        if not isinstance(setting.value, PythonDefault)
    }
    factory = ComponentFactory(registry_of(node.component.family).class_of(node.component), **settings)
    factory.node, factory.recipe = node, recipe
    return factory


def _wrong_size(node: Node, error: Exception) -> str | None:
    """What is wrong with a size of a component, where an error of its constructor shows that."""
    numbers = [(leaf, f"{node.name}.{name}") for name, each in node.settings.items() for leaf in leaves(each.value) if type(leaf) is int]
    small = [f"{name} = {value}" for value, name in numbers if value < 1]
    if small and TOO_SMALL.search(str(error)):
        return f"{' and '.join(small)} {'are' if small[1:] else 'is'} too small to be built ({_reason(error)}); bind larger sizes."
    if not isinstance(error, MemoryError | OverflowError) and not TOO_LARGE.search(str(error)):
        return None
    most, largest = max(numbers, default=(0, ""))
    subject = f"{largest} = {most} is" if most > SMALL else f"{node.name} and the components around it are"
    return f"{subject} too large to be built ({_reason(error)}); bind smaller sizes."


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or ["memory is exhausted"])[0][:200]


def blame(message: str, nodes: list[Node], recipe: str) -> Place | None:
    """The binding to which a message refers: of a setting that it names, or of one that holds a component which it names.

    Of several, one of the command line is preferred, then one of the recipe itself, then the one that is named first.
    """
    places = [*_named_settings(message, nodes), *_named_components(message, nodes)]
    return min(places, key=lambda place: (not place.on_command_line, place.file != recipe), default=None)


def _named_settings(message: str, nodes: list[Node]) -> Iterator[Place]:
    for component, parameter in re.findall(r"\b([A-Za-z]\w*)\.(\w+)", message):
        for node in nodes:
            setting = node.settings.get(parameter)
            if node.name == component and setting is not None and setting.binding is not None:
                yield from (each.place for each in (setting.binding, *setting.macros))


def _named_components(message: str, nodes: list[Node]) -> Iterator[Place]:
    for node in nodes:
        for setting in node.settings.values():
            if setting.binding is not None and any(re.search(rf"\b{link.node.name}\b", message) for link in setting.links):
                yield setting.binding.place
