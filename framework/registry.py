"""One registry per family: `register` puts a plain class under its family's name, `get` finds it and imports it only then.

The class comes back unchanged: it pickles, type-checks and compiles. gin has its name, and never calls it.
"""

import difflib
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, final

from framework.errors import UserError
from framework.registration import check_class, place_of
from framework.signatures import FAMILIES, Component, builtin_components, component_of
from framework.text import PACKAGE, public_name

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Base = TypeVar("Base")
Class = TypeVar("Class", bound=type)

ENTRY_POINTS: Final = "framework.components"
WORD, LONG = 3, 6
"""Letters of a name that another one may contain, and of one in which a single letter is a small share."""
REMEDY: Final = "if it is your own, import its module: `import your_module` in the recipe, or `--import your_module`"


@final
class Registry(Generic[Base]):
    """The components of one family: the built-in ones by name, a user's own as soon as their module is imported."""

    def __init__(self, family: str, base: type[Base]) -> None:
        self.family = family
        self.base = base
        self._classes: dict[str, type[Base]] = {}
        self._of_module: dict[tuple[str, str], type[Base]] = {}
        _registries[family] = self

    def register(self, cls: Class) -> Class:
        """Enter a plain class under its own name, as a decorator; the class comes back unchanged."""
        name = cls.__name__
        check_class(cls, self.base, self.family)
        self._refuse_duplicate(cls)
        _register_with_gin(cls, self.family)
        self._classes[name] = self._of_module[cls.__module__, name] = cast("type[Base]", cls)
        if _recipe is not None:
            _recipe.add(cls.__module__)
            _of_recipes.add(cls.__module__)
        return cls

    def get(self, name: str) -> type[Base]:
        """The class of a name, which is imported if it was not yet."""
        if name not in self._classes:
            importlib.import_module(self.describe(name).module)
        return self._classes[name]

    def class_of(self, component: Component) -> type[Base]:
        """The class of a component, which another version or another recipe's class of the same name may have replaced since."""
        return self._of_module.get((component.module, component.name)) or self.get(component.name)

    def enter(self, module: str) -> None:
        """Let the names of the components of an imported module stand for them again."""
        for (place, name), cls in self._of_module.items():
            if place == module and cls is not self._classes.get(name):
                self._refuse_duplicate(cls)
                self._classes[name] = cls

    def list(self) -> list[str]:
        """Every name, the built-in ones first."""
        return [*components(self.family)]

    def describe(self, name: str) -> Component:
        """The component, without importing it if it is built in."""
        if name not in components(self.family):
            plugins()
        members = components(self.family)
        if name not in members:
            raise _unknown(name, members, f"component of `{self.family}`")
        return members[name]

    @property
    def registered(self) -> Mapping[str, type[Base]]:
        """The classes whose modules are imported."""
        return self._classes

    def _refuse_duplicate(self, cls: type) -> None:
        name = cls.__name__
        if earlier := self._classes.get(name):
            first = "" if _is_replaced(earlier, cls) else place_of(earlier)
        elif cls.__module__.split(".")[0] == PACKAGE.name:
            first = ""  # to read the package would take a quarter of a second in each process
        else:
            builtin = builtin_components()[self.family].get(name)
            first = builtin.place if builtin else ""
        if first:
            raise UserError(f"{self.family}.{name} is registered twice: at {first} and at {place_of(cls)}; rename one of them.")


def _is_replaced(earlier: type, cls: type) -> bool:
    """Whether a class may take the name of an earlier one: of the same class, or of one that another recipe imported."""
    same = (public_name(earlier.__module__), earlier.__qualname__) == (public_name(cls.__module__), cls.__qualname__)
    return same or (_recipe is not None and earlier.__module__ in _of_recipes - _recipe)


_recipe: set[str] | None = None
"""While the modules of a recipe are imported, those of them that have components."""
_of_recipes: set[str] = set()
"""The modules with components that any recipe imported."""


@contextmanager
def imports_of_recipe() -> Iterator[Callable[[Iterable[str]], None]]:
    """Import the modules of one recipe, whose components may take the names of another's; gives the function that enters modules."""
    global _recipe
    outer, _recipe = _recipe, set()

    def enter(modules: Iterable[str]) -> None:
        for module in modules:
            for registry in _registries.values():
                registry.enter(module)
            if _recipe is not None and module in _of_recipes:
                _recipe.add(module)

    try:
        yield enter
    finally:
        _recipe = outer


_registries: dict[str, Registry[Any]] = {}
parts: Final[Registry[object]] = Registry("parts", object)
"""The fixed pieces that every run has. They share no base class."""


def registry_of(family: str) -> Registry[Any]:
    """The registry of a family; imports the family's package, and so torch."""
    if family not in FAMILIES:
        raise _unknown(family, FAMILIES, "family")
    if family not in _registries:
        importlib.import_module(f"framework.{family}")
    return _registries[family]


def components(family: str) -> dict[str, Component]:
    """The built-in components of a family and those registered so far; imports nothing."""
    if family not in FAMILIES:
        raise _unknown(family, FAMILIES, "family")
    members = dict(builtin_components()[family])
    if registry := _registries.get(family):
        imported = {name: cls for name, cls in registry.registered.items() if name not in members}
        members |= {name: component_of(cls, family, registry.base) for name, cls in imported.items()}
    return members


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The most similar of some names: one with a few other letters, or the shortest that begins or ends with the name.

    The limits separate a table of typing errors from one of other names, in the tests.
    """
    lowered = {each.lower(): each for each in names}
    short = name.lower()
    close = difflib.get_close_matches(short, lowered, n=1, cutoff=0.7 if len(short) < LONG else 0.76)
    whole = [each for each in lowered if each.startswith(short) or each.endswith(short)] if len(short) >= WORD else []
    return next((lowered[each] for each in [*close, *sorted(whole, key=len)]), None)


def advice(name: str, names: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """`; did you mean 'y'? Valid are: ..`: the nearest of the names, and all of them, or those that are `listed`, if any."""
    names = tuple(names)
    close = nearest(name, names)
    valid = ", ".join(names) or "none" if listed is None else ", ".join(listed)
    if not valid:
        return f"; did you mean '{close}'?" if close else ""
    return f"; did you mean '{close}'? Valid are: {valid}" if close else f"; valid are: {valid}"


def unregistered(name: str) -> tuple[type, str] | None:
    """A class of a user that is of a family and was not registered, with the family, if an imported module has one of that name."""
    classes = [getattr(module, "__dict__", {}).get(name) for module in [*sys.modules.values()]]
    own = [cls for cls in classes if isinstance(cls, type) and cls.__module__.partition(".")[0] != PACKAGE.name]
    families = [(family, registry.base) for family, registry in _registries.items() if registry.base is not object]
    return next(((cls, family) for cls in own for family, base in families if issubclass(cls, base)), None)


def _unknown(name: str, names: Iterable[str], what: str) -> UserError:
    remedy = "" if what == "family" else f"; {REMEDY}"
    return UserError(f"There is no {what} named '{name}'{advice(name, names)}{remedy}.")


@final
@dataclass(frozen=True)
class Plugin:
    """An entry point of the group `framework.components`, and how its import went: `error` is empty if well."""

    name: str
    module: str
    distribution: str
    error: str


@cache
def plugins() -> Sequence[Plugin]:
    """Import the modules that installed packages announce; a failure is kept with its reason."""
    from importlib.metadata import entry_points  # takes as long to import as all of this package

    return [_load(point) for point in entry_points(group=ENTRY_POINTS)]


def _load(point: "EntryPoint") -> Plugin:
    error = ""
    try:
        point.load()
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"
    return Plugin(point.name, point.value, point.dist.name if point.dist else "?", error)


def require_gin() -> None:
    """Raise a `UserError` where gin-config is missing, or hidden by a folder named `gin`."""
    try:
        import gin
    except ImportError as error:
        raise UserError("gin-config is not installed: run `pip install gin-config`.") from error
    if gin.__file__ is None or getattr(gin, "register", None) is None:
        other = gin.__file__ or "a folder named `gin`"
        raise UserError(f"`import gin` finds {other} in place of gin-config: run `pip install --force-reinstall gin-config`.")


def _register_with_gin(cls: type, family: str) -> None:
    """Register with gin; a name that gin has already is that of a cell or a module that ran again, and is replaced."""
    require_gin()
    import gin
    from gin.config import interactive_mode

    with interactive_mode():
        gin.register(cls.__name__, module=family)(cls)
