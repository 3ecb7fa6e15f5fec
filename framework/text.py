"""Text files as they are read from disk, and paths as messages show them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from framework.errors import Place, UserError

PACKAGE: Final = Path(__file__).parent
VERSION: Final = "dream_version_"
"""Begins the name of the package that holds another version of the user's modules (`composition/versions.py`)."""


def public_name(module: str) -> str:
    """The name by which a user's code imports a module, whichever version of it this is."""
    package, _, name = module.partition(".")
    return name if package.startswith(VERSION) else module


def read_text(path: Path) -> str:
    r"""The text of a file in UTF-8, with or without a byte-order mark; every line ends with `\n`.

    Raises `UserError` where the file is in another encoding, at the line of the first byte that is not UTF-8, or cannot be read.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
        wrong = text.find("\0")
    except OSError as error:
        raise _refusal(path, 1, f"the file cannot be read ({error.strerror}); change its permissions.") from error
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong >= 0:
        kind = "UTF-16" if b"\0" in data else f"not UTF-8 (its byte 0x{data[wrong]:02x} is none)"
        raise _refusal(path, data[:wrong].count(b"\n") + 1, f"the file is {kind}; save it as UTF-8.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object of JSON in a file. Raises `UserError` where it is missing or damaged, or holds anything else."""
    try:
        values = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise _refusal(path, 1, f"the file is damaged ({error}); restore it from a copy.") from error
    if not isinstance(values, dict):
        raise _refusal(path, 1, "the file is damaged (it holds no object of JSON); restore it from a copy.")
    return values


def aligned(title: str, facts: Mapping[str, str]) -> str:
    """A title, and a line for each fact below it, for the `repr` of what holds much."""
    width = max((len(name) for name in facts), default=0)
    return "\n".join([title, *(f"  {name.ljust(width)}  {text}" for name, text in facts.items())])


def _refusal(path: Path, line: int, message: str) -> UserError:
    return UserError(message, place=Place(display(path), line))


def display(path: str | Path) -> str:
    """A path for messages: relative to the working directory or to this project, if it lies below one of them."""
    for absolute in (os.path.abspath, os.path.realpath):
        text = absolute(path)
        for root in (os.getcwd(), f"{PACKAGE}/_data", f"{PACKAGE.parent}"):
            if f"{text}/".startswith(f"{root}/"):
                return text[len(root) + 1 :] or "."
    return text
