"""Tables on a terminal and elsewhere."""

import io

import click
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


@pytest.mark.parametrize("width", ["40", "200"])
def test_no_word_is_cut_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("TERM", "xterm")
    names = ["strategy", "false negatives", "false negative mass", "mean", "stderr", "std", "settings"]
    output.table(names, [["HardWeighted", "0.336", "0.376", "-2931.250", "0.017", "0.300", "size = 1024, steps = 8"]])
    words = {"HardWeighted", "0.336", "0.376", "-2931.250", "0.017", "0.300", "1024,", *(word for name in names for word in name.split())}
    assert words <= set(click.unstyle(terminal.getvalue()).split())


def test_a_dumb_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "dumb")
    output.table(["name"], [["x"]])
    assert terminal.getvalue() == "NAME\nx\n"


def test_pairs_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.pairs([("Run", "here"), ("Checkpoint", ""), ("Act", "so")])
    assert capsys.readouterr().out == "Run  here\nAct  so\n"
