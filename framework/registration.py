"""What a class must have to be registered in a family."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, ClassVar, Final, get_origin

from framework.errors import UserError
from framework.signatures import Parameter, builtin_components, constructor, source_of
from framework.text import PACKAGE

ABSENT: Final = object()


def check_class(cls: type, base: type, family: str) -> None:
    """Raise a `UserError`, with the place of the class, for the first part of its family's contract that it does not have."""
    if not inspect.isclass(cls):
        raise UserError(f"`{family}.register` takes a class, not {cls!r}.")
    for mistake in _mistakes(cls, base, family):
        raise UserError(f"{family}.{cls.__name__} ({place_of(cls)}) {mistake}.")


def check_built(component: object, base: type, family: str) -> None:
    """Raise a `UserError`, with the place of the class, for an attribute of its family's contract that a component does not have."""
    for name, annotation in vars(base).get("__annotations__", {}).items():
        if getattr(component, name, ABSENT) is ABSENT:
            cls, form = type(component), annotation.__name__ if inspect.isclass(annotation) else annotation
            raise UserError(
                f"{family}.{cls.__name__} ({place_of(cls)}) does not set `{name}`: write `self.{name}: {form} = ...` in the constructor, "
                f"{_as_in(base)}."
            )


def place_of(cls: type) -> str:
    """File and line of a class."""
    file, line = source_of(cls)
    return f"{file}:{line}"


def _mistakes(cls: type, base: type, family: str) -> Iterator[str]:
    if not issubclass(cls, base):
        yield f"must be a subclass of {base.__name__}: write `class {cls.__name__}({base.__name__})`"
    for name in sorted(getattr(cls, "__abstractmethods__", ())):
        yield f"has no `{name}`: write `{_head(getattr(cls, name))}`, {_as_in(base)}"
    parameters = {parameter.name: parameter for parameter in constructor(cls, base)}
    for parameter in parameters.values():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            yield (
                f"has a constructor that must take keyword-only parameters, and `{parameter}` is not one: "
                f"write `def __init__(self, *, ...)` and name every parameter"
            )
    for name, parameter in parameters.items():
        if parameter.annotation is inspect.Parameter.empty:
            passed = _passed(family)
            annotation = f"write `{name}: {passed[name].annotation}`" if name in passed else f"write its type, as in `{name}: int`"
            yield f"has a constructor whose parameter `{name}` needs a type annotation: {annotation}"
    if cls.__module__.split(".")[0] == PACKAGE.name:
        return  # the tests look at these: to read the package would take a quarter of a second in each process
    passed = _passed(family)
    for name, own in passed.items():
        if name not in parameters and own.default is None:
            yield f"has a constructor without `{name}`, which Python passes: write `{name}: {own.annotation}`"
        if name in parameters and name not in getattr(cls, "derived", ()):
            yield f"does not say that Python passes `{name}`: write `derived = {tuple(passed)}` in the class"
    for name, annotation in _undeclared(cls, base):
        yield f"does not set `{name}`: write `{name}: {annotation} = ...` in the class, {_as_in(base)}"


def _as_in(base: type) -> str:
    return f"as in its contract, {base.__name__} ({place_of(base)})"


def _passed(family: str) -> dict[str, Parameter]:
    """The parameters that Python passes to every built-in component of a family; one with a default is not passed to all."""
    members = [{each.name: each for each in component.parameters if each.derived} for component in builtin_components()[family].values()]
    return {name: parameter for name, parameter in members[0].items() if all(name in member for member in members)}


def _undeclared(cls: type, base: type) -> Iterator[tuple[str, str]]:
    """The class attributes that a contract declares and a class does not have, with their annotations."""
    for name, annotation in vars(base).get("__annotations__", {}).items():
        if get_origin(annotation) is ClassVar and inspect.getattr_static(cls, name, ABSENT) is ABSENT:
            yield name, repr(annotation).replace("typing.", "")


def _head(method: Any) -> str:
    """The first line of a method: its name, its parameters and what it returns."""
    try:
        node = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(method)))).body[0]
    except (OSError, SyntaxError, TypeError):
        return f"def {method.__name__}(self, ...)"
    assert isinstance(node, ast.FunctionDef)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"def {node.name}({ast.unparse(node.args)}){returns}"
