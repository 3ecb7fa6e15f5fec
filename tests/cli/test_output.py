"""Tables on a terminal and elsewhere."""

import io

import click
import pytest

from framework.cli import output
from framework.cli.components import short_type

ROWS = [["InfoNCE", "[bold] is text, not markup"], ["None", "x"]]


def terminal(monkeypatch: pytest.MonkeyPatch, kind: str = "xterm") -> io.StringIO:
    """Make standard output a terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("TERM", kind)
    return stream


def test_a_table_is_aligned_text_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(["name", "what"], ROWS)
    assert capsys.readouterr().out == "NAME     WHAT\nInfoNCE  [bold] is text, not markup\nNone     x\n"


@pytest.mark.parametrize("width", [30, 80, 110, 200])
def test_a_table_fits_a_terminal_and_cuts_no_word_but_a_long_one(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    stream = terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(width))
    names = ["strategy", "mean", "settings", "where"]
    row = ["[bold]HardWeighted", "-2931.250", "size = 1024, steps = 8", "framework/negatives/hard_weighted_with_a_long_name.py:18"]
    output.table(names, [row])
    text = click.unstyle(stream.getvalue())
    assert all(len(line) <= width for line in text.splitlines() if line.strip() != row[3])  # a path is copied whole
    short = {word for cell in (*names, *row) for word in cell.split() if len(word) < output.SHORTEST}
    assert len(short) == 10
    assert short - {names[0]} <= set(text.split())
    assert row[3] in text or width < 110
    assert ("\N{BOX DRAWINGS LIGHT HORIZONTAL}" in text) == (width > 30)
    assert "\x1b[3" not in stream.getvalue()


def test_a_table_of_too_many_columns_is_a_paragraph_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", "60")
    output.table(["strategy", *(f"number{index}" for index in range(9))], [["InBatch", *"123456789"], ["TopK", *"987654321"]])
    lines = stream.getvalue().splitlines()
    assert (lines[0], lines[1], lines[10], len(lines)) == ("InBatch", "  number0  1", "TopK", 20)


LONG = "recipe.gin:3: Agent.horizon takes a whole number, not 1.5, as it stands in a sentence that is longer than the terminal is wide."


def test_sentences_pairs_and_docstrings_wrap_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", "50")
    output.sentence(LONG)
    output.pairs([("Facts", LONG)])
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 50
    assert [line[:2] for line in lines[:3]] == ["re", "  ", "  "]
    assert lines[4].startswith("       ")
    text = output.docstring(f"{LONG}\nIt goes on\nhere.\n\n    f = g\n    h = 2\n\nEnd.")
    assert max(map(len, text.splitlines())) <= 50
    assert " ".join(text.split("\n\n")[0].split()) == f"{LONG} It goes on here."
    assert text.endswith("\n\n    f = g\n    h = 2\n\nEnd.")


def test_nothing_wraps_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.sentence(LONG)
    output.pairs([("Facts", LONG)])
    output.table(["what"], [[LONG]])
    assert capsys.readouterr().out == f"{LONG}\nFacts  {LONG}\nWHAT\n{LONG}\n"
    assert output.docstring(f"{LONG}\nmore") == f"{LONG}\nmore"


def test_a_dumb_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch, "dumb")
    output.table(["name"], [["x"]])
    assert stream.getvalue() == "NAME\nx\n"


def test_pairs_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.pairs([("Run", "here"), ("Checkpoint", ""), ("Act", "so")])
    assert capsys.readouterr().out == "Run  here\nAct  so\n"


@pytest.mark.parametrize(
    ("annotation", "short"),
    [
        ("collections.abc.Callable[..., framework.negatives.base.Negatives] | None", "Factory[Negatives] | None"),
        ("typing.Literal['a.b', 'c']", "Literal['a.b', 'c']"),
        ("Factory[Value]", "Factory[Value]"),
        ("float | None", "float | None"),
    ],
)
def test_the_types_of_own_components_are_as_short_as_those_here(annotation: str, short: str) -> None:
    assert short_type(annotation) == short
