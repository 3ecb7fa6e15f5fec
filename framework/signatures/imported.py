"""The components of imported classes: those of plugins and of notebook cells."""

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from framework.signatures.component import Component, Parameter
from framework.text import display


def component_of(cls: type, family: str, base: type = object) -> Component:
    """The component of a class, with the parameters and facts that its source would give."""
    definer = _definer(cls)
    lines, (file, line), (constructor_file, constructor_line) = _parameter_lines(definer), source_of(cls), source_of(definer)
    ancestors = [each for each in reversed(cls.__mro__) if each is not object and issubclass(each, base)]
    facts = {name: value for each in ancestors for name, value in vars(each).items() if _is_fact(name, value)}
    return Component(
        family=family,
        name=cls.__name__,
        module=cls.__module__,
        file=file,
        line=line,
        doc=inspect.cleandoc(vars(cls).get("__doc__") or ""),
        parameters=tuple(
            Parameter(
                name=each.name,
                annotation=_annotation(each.annotation),
                default=None if each.default is inspect.Parameter.empty else repr(each.default),
                derived=each.name in facts.get("derived", ()),
                file=constructor_file,
                line=lines.get(each.name, constructor_line),
            )
            for each in constructor(cls, base)
        ),
        facts=facts,
        builtin=False,
    )


def constructor(cls: type, base: type = object) -> list[inspect.Parameter]:
    """The parameters of `__init__`; none where it comes from above the family's contract (`nn.Module`, `object`)."""
    definer = _definer(cls)
    if definer is object or (definer is not base and issubclass(base, definer)):
        return []
    try:
        signature = inspect.signature(vars(definer)["__init__"], eval_str=True)
    except NameError:
        signature = inspect.signature(vars(definer)["__init__"])
    return list(signature.parameters.values())[1:]


def _definer(cls: type) -> type:
    """The class that defines the constructor."""
    return next(each for each in cls.__mro__ if "__init__" in vars(each))


def source_of(cls: type) -> tuple[str, int]:
    """The file and line of a class; the line of its first method where a class of a notebook has none of its own."""
    try:
        return display(inspect.getsourcefile(cls) or cls.__module__), _line(cls)
    except (OSError, TypeError):
        codes = [each.__code__ for each in vars(cls).values() if inspect.isfunction(each)]
        return (codes[0].co_filename, codes[0].co_firstlineno) if codes else (cls.__module__, 0)


@cache
def _line(cls: type) -> int:
    """The first line of a class, cached, since its whole file is read for it."""
    return inspect.getsourcelines(cls)[1]


@cache
def _parameter_lines(cls: type) -> Mapping[str, int]:
    """The line of each parameter of the class's own constructor."""
    try:
        lines, first = inspect.getsourcelines(vars(cls)["__init__"])
        function = ast.parse(inspect.cleandoc("\n" + "".join(lines))).body[0]
    except (KeyError, OSError, TypeError, SyntaxError):
        return {}
    return {each.arg: first + each.lineno - 1 for each in ast.walk(function) if isinstance(each, ast.arg)}


def _annotation(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    if isinstance(annotation, str):
        return annotation
    return annotation.__qualname__ if inspect.isclass(annotation) and "[" not in repr(annotation) else repr(annotation)


def _is_fact(name: str, value: object) -> bool:
    return not name.startswith("_") and isinstance(value, str | int | float | tuple | list | dict | None)
