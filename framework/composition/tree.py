"""The tree of components from the root down, each value with its place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from framework.composition.parser import Binding
from framework.composition.problems import Problem
from framework.composition.values import leaves
from framework.errors import Place
from framework.signatures import Component, Parameter
from framework.text import public_name


@final
@dataclass(frozen=True, repr=False)
class Link:
    """A reference inside a value, with the scope that it was written with."""

    node: "Node"
    scope: str

    def __repr__(self) -> str:
        scope = f"{self.scope}/" if self.scope else ""
        return f"@{scope}{self.node.name if self.node.component.family == 'parts' else self.node.component.selector}"


@final
@dataclass(frozen=True)
class Setting:
    """The value of one parameter: from a binding, or the default if there is none."""

    parameter: Parameter
    value: Any
    binding: Binding | None = None
    replaced: tuple[Place, ...] = ()
    macros: tuple[Binding, ...] = ()

    @property
    def text(self) -> str:
        """The value as gin writes it."""
        return repr(self.value)

    @property
    def links(self) -> list[Link]:
        """The components inside the value."""
        return [each for each in leaves(self.value) if isinstance(each, Link)]


@final
@dataclass(frozen=True, eq=False)
class Node:
    """One component in one scope. `key` is how a binding of it begins (`Adam`, `model/Adam`), `place` where it is referred to."""

    component: Component
    key: str
    place: Place
    settings: dict[str, Setting] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def wrapped(self) -> "Node | None":
        """The component of its setting `of`."""
        links = self.settings["of"].links if "of" in self.settings else []
        return links[0].node if links else None

    @property
    def chain(self) -> str:
        """Its name, and those of the components that it wraps."""
        return self.name if self.wrapped is None else f"{self.name} of {self.wrapped.chain}"

    def child(self, parameter: str) -> "Node":
        """The component that a parameter holds."""
        return self.settings[parameter].links[0].node


@final
@dataclass(frozen=True)
class Plan:
    """A recipe as it was read and checked; nothing is built, and no built-in component imported."""

    recipe: Path
    root: Node | None
    problems: tuple[Problem, ...]
    overrides: tuple[str, ...]
    imports: tuple[str, ...]
    """The modules that the recipe imports."""
    modules: Mapping[str, Path]
    """The source files of those that are the user's own, by their paths below the folder that Python searches."""
    set_aside: tuple[tuple[Binding, Binding], ...]
    chosen: tuple[tuple[Binding, Path], ...]

    def nodes(self) -> Iterator[Node]:
        """Every component of the run, once, each before those that it holds."""
        visited: set[Node] = set()
        waiting = [self.root] if self.root else []
        while waiting:
            node = waiting.pop(0)
            if node not in visited:
                visited.add(node)
                yield node
                waiting[:0] = [link.node for setting in node.settings.values() for link in setting.links]

    def names(self, family: str) -> str:
        """The components of a family, in the order of the recipe; a wrapper with what it wraps: `HardWeighted of CrossSequence`."""
        members = [node for node in self.nodes() if node.component.family == family]
        wrapped = {node.wrapped for node in members}
        return ", ".join(node.chain for node in members if node not in wrapped)

    def own_components(self) -> list[str]:
        """The modules of the components that are the user's own, sorted."""
        return sorted({public_name(node.component.module) for node in self.nodes() if not node.component.builtin})

    def parameters(self) -> Mapping[str, Any]:
        """Every value by its key, `Agent.horizon`; lists, dicts and components as gin writes them."""
        return {
            f"{node.key}.{name}": setting.value if isinstance(setting.value, str | int | float | None) else setting.text
            for node in self.nodes()
            for name, setting in node.settings.items()
        }
