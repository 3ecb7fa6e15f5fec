"""The tree of components from the root down, each value with the place that it came from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from framework.composition.annotations import show
from framework.composition.parser import Binding
from framework.composition.problems import Place, Problem
from framework.signatures import Component, Parameter


@final
@dataclass(frozen=True)
class PythonDefault:
    """A default that gin cannot write, such as infinity: Python's own holds."""

    text: str


@final
@dataclass(frozen=True)
class Link:
    """A reference inside a value, with the scope that it was written with."""

    node: "Node"
    scope: str

    def __str__(self) -> str:
        scope = f"{self.scope}/" if self.scope else ""
        return f"@{scope}{self.node.name if self.node.component.family == 'parts' else self.node.component.selector}"


@final
@dataclass(frozen=True)
class Setting:
    """The value of one parameter: from a binding, or the default if there is none."""

    parameter: Parameter
    value: Any
    binding: Binding | None
    replaced: tuple[Place, ...]
    macros: tuple[Binding, ...]
    sound: bool

    @property
    def text(self) -> str:
        """The value as gin writes it."""
        return text_of(self.value)


@final
@dataclass(frozen=True, eq=False)
class Node:
    """One component in one scope. `key` is how a binding of it begins: `Adam`, `model/Adam`."""

    component: Component
    key: str
    place: Place
    settings: dict[str, Setting] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.component.name

    def links(self, parameter: str) -> dict[Any, Link]:
        """The components that one parameter holds, by their key or number in it; a lone one has the key None."""
        setting = self.settings.get(parameter)
        match setting.value if setting else None:
            case Link() as link:
                return {None: link}
            case dict() as values:
                return {key: each for key, each in values.items() if isinstance(each, Link)}
            case list() | tuple() as values:
                return {number: each for number, each in enumerate(values) if isinstance(each, Link)}
        return {}

    def sound(self, *parameters: str) -> bool:
        """Whether all of them are set, and nothing is wrong with any; else there is nothing to compare."""
        return all(name in self.settings and self.settings[name].sound for name in parameters)

    def place_of(self, parameter: str) -> Place:
        """Where a parameter got its value; the component's own place for a default."""
        setting = self.settings.get(parameter)
        return setting.binding.place if setting and setting.binding else self.place

    def nearest(self, parameters: Iterable[str], recipe: str) -> Place:
        """Where one of several was bound: on the command line, or else in the recipe itself, or else in what it includes."""
        places = [self.place_of(name) for name in parameters if self.settings[name].binding]
        return max(places, key=lambda place: (place.file.startswith("-"), place.file == recipe), default=self.place)


@final
@dataclass(frozen=True)
class Plan:
    """A recipe that was read and checked; nothing was built, and no built-in component imported."""

    recipe: Path
    root: Node | None
    problems: tuple[Problem, ...]
    overrides: tuple[str, ...]
    modules: tuple[str, ...]
    plugins: tuple[Path, ...]
    set_aside: tuple[tuple[Binding, Binding], ...]
    chosen: tuple[tuple[Binding, Path], ...]

    def with_problems(self, problems: Iterable[Problem]) -> "Plan":
        """The same plan, with everything that is wrong with it."""
        return replace(self, problems=tuple(problems))

    def nodes(self) -> Iterator[Node]:
        """Every component of the run, once, each before those that it holds."""
        if self.root is not None:
            yield from walk(self.root)

    def parameters(self) -> Mapping[str, Any]:
        """Every value by its key, `Agent.horizon`; lists, dicts and components as gin writes them."""
        return {
            f"{node.key}.{name}": setting.value if isinstance(setting.value, str | int | float | None) else setting.text
            for node in self.nodes()
            for name, setting in node.settings.items()
        }


def walk(root: Node) -> Iterator[Node]:
    """A node and all below it, each once."""
    seen: set[Node] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop(0)
        if node not in seen:
            seen.add(node)
            yield node
            waiting[:0] = [link.node for name in node.settings for link in node.links(name).values()]


def wrapped(node: Node) -> list[Node]:
    """A component and those that it wraps (`of`), the outermost first."""
    inner = node.links("of").get(None)
    return [node] if inner is None else [node, *wrapped(inner.node)]


def text_of(value: Any) -> str:
    """A value as gin writes it."""
    match value:
        case Link():
            return str(value)
        case PythonDefault(text=text):
            return text
        case list():
            return f"[{', '.join(map(text_of, value))}]"
        case tuple():
            return f"({', '.join(map(text_of, value))}{',' if len(value) == 1 else ''})"
        case dict():
            return "{" + ", ".join(f"{text_of(key)}: {text_of(each)}" for key, each in value.items()) + "}"
    return show(value)
