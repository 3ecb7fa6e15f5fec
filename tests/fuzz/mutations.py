"""Seeded mutations of recipes, bindings and files, as a hurried user, an editor or a damaged disk makes them."""

import random
import re
from collections.abc import Sequence
from typing import Final

from framework.signatures import builtin_components

VALUES: Final = (
    "0", "-1", "1", "2147483648", "99999999999999999999", "1e999", "-1e999", "1e-320", "0.5", "True", "None", "''", "'\\x00'", "'a' 'b'",
    "()", "(1,)", "[]", "[[]]", "{}", "{'a': 1, 'a': 2}", "{%gone: 1}", "{1: {2: 3}}", "(1, 2", "1, 2", "@", "%", "@Agent", "@Adam()",
    "@encoders.ConvEncoder", "@negatives.InBatch()", "@a/Adam", "%gin.REQUIRED", "%steps", "nan", "inf", "-'a'", "+1", "1_000", "0x10",
    "1 + 1", "lambda: 0", "b'x'", "...", "'“'", "“a”", "'" + "x" * 500 + "'", "[" * 40 + "]" * 40, "(1, 'a', None)", "1j",
)  # fmt: skip
INSERTED: Final = (
    "", " ", "\t", "\n", "\f", "\r", "\u2028", "\x85", "\ufeff", "\x00", "#", "'", '"', "'''", "(", ")", "[", "]", "{", "}", "@",
    "%", "/", ".",
    "=", ",", "\\", "\\\n", "é", "😀", "include 'x.gin'\n", "include\n", "import os\n", "import a.b.c\n",
    "from a import b\n", "a = 1\n", "a/b.c = 2\n",
    "include 'recipes/quickstart.gin'\n", "Agent.losses = {}\n",
)  # fmt: skip


def mutated_text(text: str, rng: random.Random) -> str:
    """A text with one to three mutations of its lines, values and characters."""
    for _ in range(rng.randint(1, 3)):
        text = rng.choice((_cut, _insert, _swap_lines, _repeat_line, _drop_line, _replace_value, _replace_name))(text, rng)
    return text


def binding(rng: random.Random) -> str:
    """A binding for the command line: a setting of a component, sometimes misspelt, with a value that may not fit."""
    component = rng.choice(COMPONENTS)
    names = [parameter.name for parameter in component.parameters] or ["x"]
    name = f"{component.name}.{rng.choice(names)}"
    key = rng.choice((name, name, name, name, f"model/{name}", name[:-1], name.replace(".", ".."), f"{component.family}.{name}"))
    value = rng.choice(
        (*VALUES, str(rng.randint(-(2**40), 2**40)), str(rng.gauss(0, 1e6)), f"@{component.family}.{rng.choice(COMPONENTS).name}")
    )
    return mutated_text(f"{key} = {value}", rng) if rng.random() < 0.1 else f"{key} = {value}"


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bytes that were flipped, cut, emptied, doubled, or overwritten with zeros or another encoding."""
    kind, place = rng.randrange(7), rng.randrange(len(data)) if data else 0
    match kind:
        case 0:
            return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :] if data else b"\xff"
        case 1:
            return data[:place]
        case 2:
            return b""
        case 3:
            return data + data
        case 4:
            return data[:place] + bytes(min(64, len(data) - place)) + data[place + 64 :]
        case 5:
            return rng.randbytes(rng.randrange(200))
    return rng.choice((b"null", b"[]", b"{}", b"1", b'"text"', b'{"format": 2}', data.decode("latin-1").encode("utf-16")))


COMPONENTS: Final = [component for family in builtin_components().values() for component in family.values()]


def _spot(text: str, rng: random.Random) -> int:
    return rng.randint(0, len(text))


def _cut(text: str, rng: random.Random) -> str:
    start = _spot(text, rng)
    return text[:start] + text[start + rng.choice((1, 1, 2, 20)) :]


def _insert(text: str, rng: random.Random) -> str:
    place = _spot(text, rng)
    return text[:place] + rng.choice(INSERTED) + text[place:]


def _lines(text: str) -> list[str]:
    return text.split("\n")


def _swap_lines(text: str, rng: random.Random) -> str:
    lines = _lines(text)
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return "\n".join(lines)


def _repeat_line(text: str, rng: random.Random) -> str:
    lines = _lines(text)
    lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    return "\n".join(lines)


def _drop_line(text: str, rng: random.Random) -> str:
    lines = _lines(text)
    del lines[rng.randrange(len(lines))]
    return "\n".join(lines)


def _replace_value(text: str, rng: random.Random) -> str:
    return _replaced(text, re.compile(r"(?<== )[^\n#]+"), rng.choice(VALUES), rng)


def _replace_name(text: str, rng: random.Random) -> str:
    names: Sequence[str] = [component.name for component in COMPONENTS]
    return _replaced(text, re.compile(r"\b[A-Z]\w+"), rng.choice((*names, "Gone", "a.b.c", "")), rng)


def _replaced(text: str, pattern: re.Pattern[str], replacement: str, rng: random.Random) -> str:
    matches = list(pattern.finditer(text))
    if not matches:
        return text
    match = rng.choice(matches)
    return text[: match.start()] + replacement + text[match.end() :]
