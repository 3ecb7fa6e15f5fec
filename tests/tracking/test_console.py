import io
import re

import pytest

from framework.tracking.console import Console

METRICS = {
    "train/return": 412.04,
    "contrastive/estimate": 4.912,
    "contrastive/ceiling": 5.95,
    "contrastive/accuracy": 0.714,
    "model/loss": 3.0,
}


class Screen(io.StringIO):
    """A terminal as far as a program can tell."""

    def isatty(self) -> bool:
        return True


def parse(line: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in line.split())


def test_a_line_for_programs_parses_and_names_only_what_was_recorded() -> None:
    stream = io.StringIO()
    console = Console(total_steps=50_000, first_step=10_000, seconds=0, stream=stream)
    console.metrics(12_000, METRICS)
    console.metrics(14_000, {"train/return": 500})
    first, second = map(parse, stream.getvalue().splitlines())
    expected = ["step", "steps_per_second", "return", "estimate", "ceiling", "accuracy", "time_left"]
    assert list(first) == expected
    assert [first[name] for name in expected[2:6]] == ["412.0", "4.91", "5.95", "0.71"]
    assert (second["step"], second["return"], second["estimate"]) == ("14000", "500.0", "4.91")
    assert re.fullmatch(r"\d+s", second["time_left"])


def test_the_time_left_follows_from_the_speed() -> None:
    console = Console(total_steps=1_000, stream=io.StringIO())
    console.step, console.speed = 400, 20.0
    assert console.line() == "step=400 steps_per_second=20.0 time_left=30s"


def test_a_line_comes_once_an_interval_and_the_last_one_at_the_end() -> None:
    stream = io.StringIO()
    console = Console(total_steps=100, seconds=1000, stream=stream)
    for step in range(5):
        console.metrics(step, {"train/return": 1.0})
    assert stream.getvalue() == ""
    console.close("FINISHED")
    assert parse(stream.getvalue())["step"] == "4"


def test_a_person_reads_steps_return_nats_accuracy_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    console = Console(total_steps=50_000, stream=Screen())
    console.seconds = 0
    console.metrics(12_000, METRICS)
    console.close("KILLED")
    shown = console.stream.getvalue()  # type: ignore[attr-defined]
    for part in ("24%", "12,000/50,000 steps", "return 412", "estimate 4.91 of 5.95 nats", "accuracy 71%", "left"):
        assert part in shown


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(total_steps=100, stream=Screen())
    console.seconds = 0
    console.metrics(10, METRICS)
    console.close("FINISHED")
    assert not re.search(r"\x1b\[[\d;]*3[0-9]", console.stream.getvalue())  # type: ignore[attr-defined]


def test_a_reader_who_went_away_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    stream = io.StringIO()
    console = Console(total_steps=100, seconds=0, stream=stream)
    stream.close()
    console.metrics(10, METRICS)
    console.metrics(20, METRICS)
    console.close("FINISHED")
    assert caplog.text.count("cannot be written") == 1
