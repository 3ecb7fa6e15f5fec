"""The statements of one gin file, with every syntax error of it."""

import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, final

from framework.composition.problems import Problem
from framework.composition.values import Macro, Reference, Unreadable
from framework.errors import Place
from framework.registry import require_gin

require_gin()
from gin import config_parser  # noqa: E402

BINDING_KEY: Final = re.compile(r"([A-Za-z_][\w/.]*\w)\s*=")
PYTHON_SPELLING: Final = {"true": "True", "false": "False", "none": "None", "null": "None"}


@final
@dataclass(frozen=True, eq=False)
class Binding:
    """`scope/Component.parameter = value`; a macro's definition `NAME = value` has no parameter."""

    scope: str
    selector: str
    parameter: str
    value: Any
    place: Place

    @property
    def key(self) -> str:
        """The left side as written."""
        scope = f"{self.scope}/" if self.scope else ""
        return f"{scope}{self.selector}.{self.parameter}" if self.parameter else f"{scope}{self.selector}"


@final
@dataclass(frozen=True)
class Import:
    """`import module`."""

    module: str
    place: Place


@final
@dataclass(frozen=True)
class Include:
    """`include 'file.gin'`."""

    file: str
    place: Place


Statement = Binding | Import | Include


@final
class _Delegate(config_parser.ParserDelegate):
    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Reference:
        scope, _, selector = scoped_configurable_name.rpartition("/")
        return Reference(scope, selector, evaluate)

    def macro(self, macro_name: str) -> Macro:
        return Macro(macro_name)


@lru_cache(maxsize=1024)
def parse(text: str, file: str, *, number: int | None = None) -> tuple[Sequence[Statement], Sequence[Problem]]:
    """Parse one file, or the one binding that is `number` on the command line; cached, since recipes include the same files.

    gin's parser stops at the first error. A statement with an error is blanked, and the text is parsed again, until none is left.
    """
    lines = text.splitlines()
    problems: list[Problem] = []
    unreadable: list[Statement] = []
    while True:
        statements, mistake = _attempt(lines, file, number)
        if mistake is None:
            return statements + unreadable, problems
        end = _end(lines, mistake.start)
        problem = mistake.problem(file, end, number)
        problems.append(problem)
        if key := BINDING_KEY.match(lines[mistake.start - 1]):
            scope, selector, parameter = config_parser.parse_binding_key(key[1])
            unreadable.append(Binding(scope, selector, parameter, Unreadable(), Place(file, problem.line)))
        lines[mistake.start - 1 : end] = [""] * (end - mistake.start + 1)


@final
@dataclass(frozen=True)
class _Mistake:
    message: str
    line: int
    start: int

    def problem(self, file: str, end: int, number: int | None) -> Problem:
        message = _plain("EOF" if self.line > end else self.message)
        line = self.line if self.line <= end else self.start
        where = f" (in the statement that begins on line {self.start})" if line > self.start else ""
        return Problem(file, line if number is None else number, f"this is not gin{where}: {message}.")


def _attempt(lines: list[str], file: str, number: int | None) -> tuple[list[Statement], _Mistake | None]:
    statements: list[Statement] = []
    start = 1
    try:
        parser = config_parser.ConfigParser("\n".join(lines) + "\n", _Delegate())
        while True:
            start = _next_line(lines, parser.current_token.start[0])
            parsed = parser.parse_statement()
            if parsed is None:
                return statements, None
            statements.extend(_statement(parsed, Place(file, number or parsed.location.line_num)))
    except SyntaxError as error:
        return statements, _Mistake(str(error.msg), error.lineno or start, start)
    except tokenize.TokenError as error:
        return statements, _Mistake(str(error.args[0]), start, start)


def _end(lines: list[str], start: int) -> int:
    """The last line of the statement that begins at `start`: the next statement begins with a name at the margin."""
    end = start
    while end < len(lines) and not lines[end][:1].isalpha():
        end += 1
    return end


def _statement(parsed: Any, place: Place) -> Iterator[Statement]:
    match parsed:
        case config_parser.BindingStatement(scope=scope, selector=selector, arg_name=parameter, value=value):
            yield Binding(scope, selector, parameter, value, place)
        case config_parser.ImportStatement(module=module):
            yield Import(module, place)
        case config_parser.IncludeStatement(filename=name):
            yield Include(name, place)


def _next_line(lines: list[str], line: int) -> int:
    while line < len(lines) and (not lines[line - 1].strip() or lines[line - 1].lstrip().startswith("#")):
        line += 1
    return line


def _plain(message: str) -> str:
    """gin's own message, or a clearer one for frequent mistakes."""
    _, _, token = message.partition("Failed to parse token '")
    token = token.rstrip("'")
    if token.lower() in PYTHON_SPELLING:
        return f"write {PYTHON_SPELLING[token.lower()]} for `{token}`"
    if token.isidentifier():
        return f"`{token}` is no value: write text in quotes ('{token}'), a component as @{token}, a macro as %{token}"
    if message.startswith("Expected newline"):
        return "one value was expected, and more follows: gin has no arithmetic, and a text needs quotes"
    if "EOF" in message or "unterminated" in message:
        return "a bracket or a quote is not closed"
    if message.startswith("Unable to parse value"):
        return "the value cannot be read: is a quote or a bracket not closed?"
    return " ".join(message.split()).rstrip(".")
