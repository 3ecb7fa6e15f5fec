"""The bindings of the command line: those of a file, and two forms of its own that change a part of a value.

Component.list += value             adds an element to a list, or each of several: [a, b]
Component.dictionary['key'] = value sets one key of a dictionary
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from framework.composition.parser import BINDING_KEY, Binding, parse
from framework.composition.problems import Problem
from framework.composition.values import Edit, ValueMistake
from framework.errors import Place

APPEND: Final = re.compile(r"\s*([\w/.]+)\s*\+=(.*)", re.DOTALL)
KEY: Final = re.compile(r"\s*([\w/.]+)\s*\[([^\]]*)\]\s*=(.*)", re.DOTALL)
REVERSED: Final = re.compile(r"\s*[\w/.]+\s*=\s*\+\s*[@%\[('\"]")
STATEMENT: Final = re.compile(r"\s*(include|import|from)\b")
FORMS: Final = "write Component.parameter=value, Component.list+=value to add to a list, or Component.dictionary['key']=value"


def quoted(option: str, text: str) -> str:
    """An option as it is typed, in quotes that the text does not have."""
    quote = '"' if "'" in text and '"' not in text else "'"
    return f"{option} {quote}{text}{quote}"


def parse_binding(text: str, number: int) -> tuple[Sequence[Binding], Sequence[Problem]]:
    """The binding that is `number` on the command line."""
    legible = text.encode("utf-8", "replace").decode()
    place = Place(quoted("-b", legible), number)
    if legible != text:
        return [], [Problem.at(place, "the binding is not UTF-8; set your terminal to UTF-8.")]
    edit: Edit | None = None
    if append := APPEND.fullmatch(text):
        text, edit = f"{append[1]} = {append[2]}", _append
    elif key := KEY.fullmatch(text):
        try:
            edit = partial(_set_key, _key(key[2]))
        except (SyntaxError, ValueError):
            example = key[2].strip("'\"") or "key"
            return [], [Problem.at(place, f"the key [{key[2]}] is no text in quotes: write \"{key[1]}['{example}']=value\".")]
        text = f"{key[1]} = {key[3]}"
    elif REVERSED.match(text) or not (BINDING_KEY.match(text.lstrip()) or STATEMENT.match(text)):
        return [], [Problem.at(place, f"this is no binding: {FORMS}.")]
    statements, problems = parse(text, place.file, number=number)
    bindings = [replace(each, edit=edit) for each in statements if isinstance(each, Binding)]
    if edit and any(not each.parameter for each in bindings):
        return [], [Problem.at(place, f"a macro is changed as a whole, and this is no parameter: {FORMS}.")]
    if len(bindings) < len(statements):
        message = "the command line takes only bindings: put `include` into a recipe, and use --import for a module."
        problems = [*problems, Problem.at(place, message)]
    return bindings, problems


def _key(text: str) -> Any:
    """The literal inside the brackets, a text or a number."""
    key = ast.literal_eval(text.strip())
    if not isinstance(key, str | int | float):
        raise ValueError(text)
    return key


def _append(before: Any, value: Any, key: str) -> Any:
    """A list with an element, or each of several, added."""
    if not isinstance(before, list | tuple):
        mend = f"set one key, as in {key}['name']=value" if isinstance(before, dict) else "bind a value with ="
        raise ValueMistake(f"+= adds to a list, and the value is {before!r}; {mend}")
    return type(before)([*before, *(value if isinstance(value, list | tuple) else [value])])


def _set_key(name: str | int | float, before: Any, value: Any, key: str) -> Any:
    """A dictionary with one key set."""
    if not isinstance(before, dict):
        mend = f"add to it, as in {key}+=value" if isinstance(before, list | tuple) else "bind a value without the brackets"
        raise ValueMistake(f"[{name!r}] is a key of a dictionary, and the value is {before!r}; {mend}")
    return before | {name: value}
