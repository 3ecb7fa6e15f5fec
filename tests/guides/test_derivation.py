"""The derivation: every equation stands as a formula and as text, and what is cited stands there."""

import re
from io import BytesIO

from matplotlib.mathtext import math_to_image

from tests.guides.pages import GUIDES
from tests.members import ROOT

PAGE = (GUIDES / "derivation.md").read_text(encoding="utf-8")
FORMULAS = re.findall(r"^```math\n(.*)\n```\n\n    \((\d+)\)", PAGE, re.MULTILINE)


def test_every_equation_has_a_number_a_formula_and_a_line_of_text() -> None:
    assert [int(number) for _, number in FORMULAS] == [*range(1, 11)]
    assert PAGE.count("```math") == len(FORMULAS)
    assert all(f"({number})" in formula for formula, number in FORMULAS)


def test_every_formula_can_be_set() -> None:
    for formula, _ in FORMULAS:
        image = BytesIO()
        math_to_image(f"${formula}$", image, format="svg")
        assert image.tell() > 1000


def test_whatever_is_cited_stands_there() -> None:
    files = [
        file
        for folder in ("framework", "gin", "recipes", "docs")
        for ending in ("py", "gin", "md")
        for file in (ROOT / folder).rglob(f"*.{ending}")
    ]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines() if "derivation" in line]
    cited = [int(number) for line in lines for number in re.findall(r"Eq\. (\d+)", line)]
    assert len(cited) >= 4
    assert {*cited} <= {int(number) for _, number in FORMULAS}
