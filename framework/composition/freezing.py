"""From a component with its settings to a frozen factory."""

from collections.abc import Callable
from functools import partial
from typing import Any

from framework.composition.tree import Link, Node, PythonDefault
from framework.registry import registry_of


def freeze(node: Node) -> partial[Any]:
    """The class with its settings, every component inside them frozen likewise; a parameter left to Python is left out."""
    cls: Callable[..., Any] = registry_of(node.component.family).get(node.name)
    values = {name: setting.value for name, setting in node.settings.items() if not isinstance(setting.value, PythonDefault)}
    frozen = {name: _frozen(value) for name, value in values.items()}
    return partial(cls, **frozen)


def _frozen(value: Any) -> Any:
    match value:
        case Link(node=node):
            return freeze(node)
        case list() | tuple():
            return type(value)(_frozen(each) for each in value)
        case dict():
            return {key: _frozen(each) for key, each in value.items()}
    return value
