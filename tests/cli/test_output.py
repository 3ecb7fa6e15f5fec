"""Tables on a terminal and elsewhere."""

import io

import click
import pytest

from framework.cli import output

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


@pytest.mark.parametrize("width", ["40", "200"])
def test_a_table_is_drawn_on_a_terminal_with_no_word_cut(monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    stream = terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", width)
    names = ["strategy", "false negatives", "false negative mass", "mean", "stderr", "std", "settings"]
    row = ["[bold]HardWeighted", "0.336", "0.376", "-2931.250", "0.017", "0.300", "size = 1024, steps = 8"]
    output.table(names, [row])
    text = click.unstyle(stream.getvalue())
    words = {word for cell in (*names, *row) for word in cell.split()}
    assert words <= set(text.split())
    assert "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in text
    assert "\x1b[3" not in stream.getvalue()


def test_a_dumb_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch, "dumb")
    output.table(["name"], [["x"]])
    assert stream.getvalue() == "NAME\nx\n"


def test_pairs_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.pairs([("Run", "here"), ("Checkpoint", ""), ("Act", "so")])
    assert capsys.readouterr().out == "Run  here\nAct  so\n"
