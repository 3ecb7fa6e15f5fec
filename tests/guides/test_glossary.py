"""The glossary: every term is where it says."""

import inspect
import pydoc
import re

import pytest

from framework.registry import components
from framework.signatures import FAMILIES
from tests.members import ROOT

GLOSSARY = (ROOT / "docs" / "guides" / "glossary.md").read_text(encoding="utf-8")
PLACES = re.findall(r"^\|.*\| `([\w.]+)` \|$", GLOSSARY, re.MULTILINE)


def is_defined(place: str) -> bool:
    """Whether a dotted name can be imported, or is a field of a dataclass, or a setting of a component."""
    if pydoc.locate(place) is not None:
        return True
    owner, _, name = place.rpartition(".")
    if owner.startswith("framework"):
        cls = pydoc.locate(owner)
        return inspect.isclass(cls) and name in inspect.get_annotations(cls)
    named = [members[owner] for members in map(components, FAMILIES) if owner in members]
    return any(parameter.name == name for component in named for parameter in component.parameters)


@pytest.mark.parametrize("place", sorted({*PLACES}))
def test_a_term_exists_where_it_says(place: str) -> None:
    assert is_defined(place)


def test_no_other_term_would_pass() -> None:
    assert not any(map(is_defined, ("framework.data.Batches", "framework.data.Batch.episodes", "InfoNCE.axes", "Info.axis")))


def test_every_line_has_a_place() -> None:
    assert len(PLACES) == len(re.findall(r"^\|(?! `\w+/` )(?!---)(?! term | prefix ).*\|$", GLOSSARY, re.MULTILINE)) > 40
