"""The statements of one gin file, with every syntax error of it."""

import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, final

from framework.composition.problems import Problem
from framework.composition.values import Edit, Macro, Reference, Unreadable, key_mistake
from framework.errors import Place
from framework.registry import require_gin

require_gin()
from gin import config_parser  # noqa: E402

BINDING_KEY: Final = re.compile(r"([A-Za-z_][\w/.]*\w)\s*=")
EDIT: Final = re.compile(r"[\w/.]+\s*(\+=|\[[^\]]*\]\s*=)")
TEXT_OR_COMMENT: Final = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|#.*")
QUOTES: Final = "\u2018\u2019\u201a\u201c\u201d\u201e\u2039\u203a\u00ab\u00bb\u00b4"
PYTHON_SPELLING: Final = {"true": "True", "false": "False", "none": "None", "null": "None"}


@final
@dataclass(frozen=True, eq=False)
class Binding:
    """`scope/Component.parameter = value`; a macro's definition `NAME = value` has no parameter.

    `edit` makes the new value from the one before; None where `value` replaces it.
    """

    scope: str
    selector: str
    parameter: str
    value: Any
    place: Place
    edit: Edit | None = None

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


@final
class _Parser(config_parser.ConfigParser):
    """gin's parser, which also refuses a key that stands twice in one dictionary: Python keeps the last without a word."""

    _keys: tuple[object, ...] = ()

    def _maybe_parse_container(self) -> tuple[bool, Any]:
        outer, self._keys = self._keys, ()
        try:
            return super()._maybe_parse_container()
        finally:
            self._keys = outer

    def _parse_dict_item(self) -> tuple[object, object]:
        location = self._current_location()
        key, value = super()._parse_dict_item()
        if mistake := key_mistake(key, self._keys):
            raise SyntaxError(mistake, location)
        self._keys += (key,)
        return key, value


@lru_cache(maxsize=1024)
def parse(text: str, file: str, *, number: int | None = None) -> tuple[Sequence[Statement], Sequence[Problem]]:
    """Parse one file, or the one binding that is `number` on the command line; cached, since recipes include the same files.

    gin's parser stops at the first error. A statement with an error is blanked, and the text is parsed again, until none is left.
    """
    lines = text.split("\n")  # as gin counts them: `splitlines` would also end a line at a form feed or at U+2028
    problems: list[Problem] = []
    unreadable: list[Statement] = []
    while True:
        statements, mistake = _attempt(lines, file, number)
        if mistake is None:
            return statements + unreadable, problems
        end = _end(lines, mistake.start)
        problem = mistake.problem(lines[mistake.start - 1 : end], file, number)
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

    def problem(self, statement: list[str], file: str, number: int | None) -> Problem:
        is_inside = self.line < self.start + len(statement)
        message = _odd_character("\n".join(statement)) or _plain(self.message if is_inside else "EOF")
        if EDIT.match(statement[0]):
            message = "only the command line (-b) changes a part of a value; a file binds the whole of it"
        line = self.line if is_inside else self.start
        where = f" (in the statement that begins on line {self.start})" if line > self.start else ""
        return Problem(file, line if number is None else number, f"this cannot be read{where}: {message}.")


def _attempt(lines: list[str], file: str, number: int | None) -> tuple[list[Statement], _Mistake | None]:
    statements: list[Statement] = []
    start = 1
    try:
        parser = _Parser("\n".join(lines) + "\n", _Delegate())
        while True:
            parser._skip_whitespace_and_comments()
            start = parser.current_token.start[0]
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
    while end < len(lines) and not lines[end].lstrip("\f")[:1].isalpha():
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


def _odd_character(statement: str) -> str:
    """What is wrong where a quote or a space that a word processor writes stands outside of a text and a comment; else empty."""
    for character in TEXT_OR_COMMENT.sub("", statement):
        if character in QUOTES:
            return f"{character} is no quote of gin: write ' or \""
        if not (character.isascii() or character.isprintable()):
            return f"there is an invisible character, U+{ord(character):04X}: write a plain space, or nothing, in its place"
    return ""


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
        return "the value is neither a literal nor a component nor a macro; close its quotes and brackets"
    return " ".join(message.split()).rstrip(".")
