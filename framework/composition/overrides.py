"""The bindings of a caller: statements as the command line writes them, or a mapping of Python values."""

import math
import re
from collections.abc import Iterable, Mapping
from functools import partial
from numbers import Integral, Real
from typing import Any, Final

from framework.composition.values import Macro, Reference, map_leaves
from framework.errors import UserError

Overrides = Iterable[str] | Mapping[str, Any]
"""`["Run.seed=1"]`, or `{"Run.seed": 1, "InfoNCE.critic": "@critics.CosineCritic"}`."""
REFERENCE: Final = re.compile(r"@(?:([\w/]*)/)?([\w.]+)(\(\))?")
MACRO: Final = re.compile(r"%([\w.]+)")


def statements(bindings: Overrides) -> tuple[str, ...]:
    """Each binding as the command line writes it: `Run.seed=1`.

    The values of a mapping are written as gin's literals; in them a text such as `@critics.CosineCritic` is a component, and `%WIDTH`
    a macro. Raises `UserError` for a plain text, and for a value that gin cannot write.
    """
    if isinstance(bindings, Mapping):
        return tuple(f"{key}={map_leaves(partial(_leaf, key), value)!r}" for key, value in bindings.items())
    return texts("bindings", bindings, 'or a mapping, {"Run.seed": 1}')


def texts(name: str, values: Iterable[str], alternative: str = "") -> tuple[str, ...]:
    """A list of texts. Raises `UserError` for one text alone, whose letters Python would take for the list."""
    remedy = f", {alternative}" if alternative else ""
    if isinstance(values, str):
        raise UserError(f'`{name}` is the text "{values}"; write a list, ["{values}"]{remedy}.')
    listed = tuple(values) if isinstance(values, Iterable) else (values,)
    for each in listed:
        if not isinstance(each, str):
            raise UserError(f"`{name}` holds {each!r}, which is no text; write a list of texts{remedy}.")
    return listed


def _leaf(key: str, value: Any) -> Any:
    """A leaf whose `repr` is what gin reads."""
    if value is None or isinstance(value, bool | Reference | Macro):
        return value
    if isinstance(value, str):
        if match := REFERENCE.fullmatch(value):
            return Reference(match[1] or "", match[2], called=bool(match[3]))
        return Macro(value[1:]) if MACRO.fullmatch(value) else value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and math.isfinite(value):
        return float(value)
    raise UserError(
        f"`bindings` has {key} = {value!r}; write a finite number, a text, True, False, None, or a list, tuple or dictionary of them: "
        f'a component is the text "@critics.CosineCritic".'
    )
