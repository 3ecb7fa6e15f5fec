"""Tables on a terminal and elsewhere."""

import io

import pytest

from framework.cli import output

ROWS = [["InfoNCE", "[bold] is text, not markup"], ["None", "x"]]


class Terminal(io.StringIO):
    """What a person looks at."""

    def isatty(self) -> bool:
        return True


def test_a_table_is_aligned_text_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(["name", "what"], ROWS)
    assert capsys.readouterr().out == "NAME     WHAT\nInfoNCE  [bold] is text, not markup\nNone     x\n"


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_table_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch, no_color: str) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    output.table(["name", "what"], ROWS)
    text = terminal.getvalue()
    assert "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in text
    assert "[bold] is text, not markup" in text
    assert "\x1b[3" not in text


def test_a_dumb_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "dumb")
    output.table(["name"], [["x"]])
    assert terminal.getvalue() == "NAME\nx\n"


def test_pairs_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.pairs([("Run", "here"), ("Checkpoint", ""), ("Act", "so")])
    assert capsys.readouterr().out == "Run  here\nAct  so\n"
