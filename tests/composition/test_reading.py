"""A constructor that is read says what it says when it is run, and nothing that it does not know."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from framework.composition.reading import UNKNOWN, NotKnown, Reading, Refusal
from framework.errors import UserError
from framework.signatures import lineage
from framework.source_text import Module

SOURCE = """
import math
from dataclasses import dataclass
from itertools import pairwise

from framework.errors import UserError

LARGEST = 2 * 4


@dataclass(frozen=True)
class Sizes:
    height: int
    width: int = 2

    def __post_init__(self):
        if self.height > 99:
            raise UserError("a mast")

    @property
    def area(self):
        return self.height * self.width


class Base:
    limit = 3

    def __init__(self, *, size):
        self.size, self.kept = size, self.own(size)

    def own(self, size):
        return [size] * self.limit

    def grow(self):
        self.size = 7


class Part(Base):
    limit = 4

    def __init__(self, *, size=1, other=None, names=("a", "b")):
        super().__init__(size=size)
{body}


def least(owner, value, at_least=1):
    if value < at_least:
        raise UserError(f"{{owner}} = {{value}} is below {{at_least}}")
    return value - at_least


def doubled(value):
    found = 1
    for _ in range(value):
        found *= 2
    return found


def broken(value):
    for each in range(value):
        if each == 2:
            break
    return each


def numbers():
    yield 1
"""

BODIES: Mapping[str, str] = {
    "a comparison": "if not 0 < size <= LARGEST: raise UserError(f'size = {size}')",
    "a chain of branches": "if size < 0: pass\nelif size == 5: raise UserError('five')\nelse: size = 3\n"
    "if size == 3: raise UserError('three')",
    "a loop over names and values": "for name, value in (('size', size), ('two', 2)):\n"
    "    if value < 1: raise UserError(f'{name} is {value}')",
    "a function of the file": "least('Part.size', size)",
    "its default, and what it gives": "if least('x', size, at_least=-10) > 13: raise UserError('more')",
    "a loop in a function": "if doubled(abs(size)) > 8: raise UserError(f'{doubled(abs(size))}')",
    "a comprehension with a function in it": "if [each for each in range(9) if doubled(each) == 2 ** size]: raise UserError('found')",
    "an assignment in a condition": "if wrong := [name for name in names if len(name) < size]: raise UserError(f'{wrong} of {names}')",
    "its own attributes": "if self.kept[0] != self.size or self.size > 4: raise UserError(f'{self.kept}')",
    "a literal of the class": "if size == self.limit: raise UserError(f'{type(self).__name__} has {self.limit}')",
    "a dataclass": "if Sizes(height=size).area == 10: raise UserError('area')\nSizes(size * 20)",
    "arithmetic step by step": "total = 1\ntotal += size\nlow, high = total, -total\nif low * high < -16: raise UserError(f'{low} {high}')",
    "a list that grows": "found = []\nfor each in range(size): found.append(each)\nif len(found) == 3: raise UserError(f'{found}')",
    "the standard library": "if math.sqrt(size * size) > 4 or list(pairwise(range(size))) == [(0, 1)]: raise UserError('far')",
    "a type": "if isinstance(other, str) or isinstance(size, (list, tuple)): raise UserError('text')\n"
    "if other is None and size == 0: raise UserError('0')",
    "a loop that is left early": "for each in (1, 2, 3):\n    if each == size: break\nif each == 2: raise UserError('two')",
    "a nested class": "Part2 = None\nif size > 5: Base(size=Sizes(height=100))",
}
LEFT_TO_BUILDING = ("a loop that is left early",)
SIZES = (-3, 0, 1, 2, 3, 4, 5, 8, 9)


def part(folder: Path, body: str) -> Path:
    path = folder / "parts" / "part.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(SOURCE.format(body="\n".join(f"        {line}" for line in body.splitlines())))
    return path


def read(path: Path, **settings: Any) -> str | None:
    """What it refuses with."""
    Module.of_file.cache_clear()
    module = Module.of_file(path, path.parent)
    try:
        Reading().construct(tuple(lineage(module, module.classes["Part"])), {"limit": 4}, (), settings)
    except Refusal as refusal:
        return str(refusal)
    except NotKnown:
        return None
    return None


def run(path: Path, **settings: Any) -> str | None:
    names: dict[str, Any] = {"__name__": "parts.part"}
    exec(compile(path.read_text(), str(path), "exec"), names)
    try:
        names["Part"](**settings)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", BODIES)
def test_it_refuses_what_building_refuses_in_the_same_words(name: str, tmp_path: Path) -> None:
    path = part(tmp_path, BODIES[name])
    built = {size: run(path, size=size) for size in SIZES}
    assert len({*built.values()}) > 1
    assert {size: read(path, size=size) for size in SIZES} == ({} | dict.fromkeys(SIZES) if name in LEFT_TO_BUILDING else built)


KNOWS_NOT = {
    "a decision by it": "if other: raise UserError('other')",
    "whether it is None": "if other is not None: raise UserError('other')",
    "what it is": "if not isinstance(other, str): raise UserError('other')",
    "a number that it changed": "count = 1\nif other > 2: count = 5\nif count == 1: raise UserError('one')",
    "a list that it filled": "found = []\nif other: found.append(1)\nif not found: raise UserError('nothing')",
    "an attribute that it changed": "if other: self.size = 7\nif self.size == 3: raise UserError('three')",
    "what a method did, perhaps": "if other: self.grow()\nif self.size == 3: raise UserError('three')",
    "whether it went on": "if other: return\nraise UserError('here')",
    "whether a loop went on": "for each in (1, 2):\n    if other: continue\n    raise UserError('here')",
    "what a sentence says": "if size == 3: raise UserError(f'{other} is wrong')",
    "another error": "if size == 3: raise ValueError('three')\nraise UserError('never')",
    "what a loop over it finds": "last = 3\nfor last in other: pass\nif last == 3: raise UserError('three')",
    "a value that is tried": "found = 3\ntry: found = other.size\nexcept ValueError: pass\nif found == 3: raise UserError('three')",
    "a name from elsewhere": "import os\nif os.sep: raise UserError('os')\nif nowhere: raise UserError('nowhere')",
    "a generator": "if list(numbers()) != [2]: raise UserError('numbers')",
    "a function inside": "def least(*_): return 3\nif least('size', 9) == 8: raise UserError('least')",
    "a sum with it": "if size + other > 1 or [other] == [1] or other in (1, 2) or 3 in [other]: raise UserError('sum')",
    "a loop without end": "for each in range(10 ** 12): size = each\nif size == 3: raise UserError('three')",
    "a recursion without end": "self.again = lambda: self.again()\nself.again()\nif broken(3) == 2: raise UserError('two')",
}


@pytest.mark.parametrize("name", KNOWS_NOT)
def test_it_leaves_to_building(name: str, tmp_path: Path) -> None:
    assert not read(part(tmp_path, KNOWS_NOT[name]), size=3, other=UNKNOWN)


def test_what_is_known_is_found_beside_what_is_not(tmp_path: Path) -> None:
    body = "net = other.net(size)\nself.width = net.width\nif self.width < 2: raise UserError('width')\nleast('Part.size', size)"
    assert read(part(tmp_path, body), size=0, other=UNKNOWN) == "Part.size = 0 is below 1"


def test_a_class_with_bases_that_are_not_read_may_have_other_literals(tmp_path: Path) -> None:
    path = part(tmp_path, "if self.limit == 4: raise UserError('four')")
    assert read(path) == "four"
    path.write_text(path.read_text().replace("class Base:", "class Base(elsewhere.Base):"))
    assert not read(path)


@pytest.mark.parametrize("use", [bool, len, list, str, repr, hash, "{}".format, lambda value: value in (1, 2), lambda value: 1 in value])
def test_nothing_is_decided_or_said_by_what_is_not_known(use: Any) -> None:
    with pytest.raises(NotKnown):
        use(UNKNOWN)
    assert (UNKNOWN.size * 2 - [UNKNOWN][0](3)["a"] < 4) is UNKNOWN


def test_source_is_not_changed_by_being_read(tmp_path: Path) -> None:
    path = part(tmp_path, BODIES["a type"])
    module = Module.of_file(path, path.parent)
    before = ast.dump(module.classes["Part"])
    Reading().construct(tuple(lineage(module, module.classes["Part"])), {}, (), {"size": 3})
    assert ast.dump(module.classes["Part"]) == before
