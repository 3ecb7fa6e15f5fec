"""The line that shows how far a run is."""

import io
import re

import pytest

from framework.tracking.base import MetricsEvent
from framework.tracking.console import Console

METRICS = {
    "train/return": 412.04,
    "contrastive/estimate": 4.912,
    "contrastive/ceiling": 5.95,
    "contrastive/accuracy": 0.714,
    "contrastive/alone": 0.1,
    "contrastive/is_lower_bound": 1.0,
    "model/loss": 3.0,
}


def parse(line: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in line.split())


def test_a_line_for_programs_parses_and_names_only_what_was_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(total_steps=50_000, first_step=10_000, seconds=0.0)
    console.record(MetricsEvent(12_000, METRICS))
    console.record(MetricsEvent(14_000, {"train/return": 500.0}))
    first, second = map(parse, capsys.readouterr().out.splitlines())
    expected = ["step", "steps_per_second", "return", "estimate", "ceiling", "accuracy", "time_left"]
    assert list(first) == expected
    assert [first[name] for name in expected[2:6]] == ["412.0", "4.91", "5.95", "0.71"]
    assert (second["step"], second["return"], second["estimate"]) == ("14000", "500.0", "4.91")
    assert re.fullmatch(r"\d+s", second["time_left"])


def test_the_time_left_follows_from_the_speed_or_from_the_trainer() -> None:
    console = Console(total_steps=1_000)
    console.step, console.speed = 400, 20.0
    assert console.line() == "step=400 steps_per_second=20.0 time_left=30s"
    console.latest["time/seconds_left"] = 12.0
    assert console.line() == "step=400 steps_per_second=20.0 time_left=12s"
    console.latest["time/seconds_left"] = 40.0
    assert console.line() == "step=400 steps_per_second=20.0 time_left=30s"


def test_it_shows_anchors_without_a_negative_above_a_tenth_and_an_estimate_that_is_no_bound(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(total_steps=50_000, seconds=0.0)
    console.record(MetricsEvent(12_000, METRICS | {"contrastive/alone": 0.925, "contrastive/is_lower_bound": 0.0}))
    line = parse(capsys.readouterr().out)
    assert (line["alone"], line["is_lower_bound"], line["estimate"]) == ("0.93", "0", "4.91")
    assert "estimate 4.91 of 5.95 nats, no bound  accuracy 71%  alone 92%" in console.sentence(200)


def test_a_narrow_terminal_keeps_the_return_and_the_time_left() -> None:
    console = Console(total_steps=500_000)
    console.latest, console.step, console.speed = METRICS | {"eval/return": 488.0}, 120_000, 83.0
    for width in range(25, 130):
        sentence = console.sentence(width)
        assert len(sentence) <= width
        assert "return 412" in sentence
        assert sentence.endswith("1:16:18 left")
        assert ("120,000/500,000 steps" in sentence) == (width >= 47)
        assert all(part in sentence for part in ("83 steps/s", "evaluation 488", "nats", "accuracy 71%")) == (width >= 117)


def test_a_bound_on_updates_is_shown_and_is_what_is_left_if_it_comes_first() -> None:
    console = Console(total_steps=1000, total_updates=50)
    console.step, console.speed = 100, 10.0
    console.latest = {"train/updates": 40.0, "time/updates_per_second": 2.0}
    assert "updates=40 " in console.line()
    assert console.line().endswith("time_left=5s")
    assert console.sentence(200) == "100/1,000 steps  40/50 updates  10 steps/s  0:00:05 left"


def test_a_line_comes_once_an_interval_and_the_last_one_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(total_steps=100, seconds=1000.0)
    for step in range(5):
        console.record(MetricsEvent(step, {"train/return": 1.0}))
    assert capsys.readouterr().out == ""
    console.close("FINISHED")
    assert parse(capsys.readouterr().out)["step"] == "4"


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_a_terminal_shows_steps_return_nats_accuracy_and_time_left_in_color_unless_it_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch, no_color: str, colored: bool
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", stream)
    for name, value in {"NO_COLOR": no_color, "TERM": "xterm", "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    console = Console(total_steps=50_000)
    console.seconds = 0.0
    console.record(MetricsEvent(12_000, METRICS))
    console.close("KILLED")
    assert bool(re.search(r"\x1b\[[\d;]*3[0-9]", stream.getvalue())) == colored
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", stream.getvalue())
    for part in ("24%", "12,000/50,000 steps", "return 412", "estimate 4.91 of 5.95 nats", "accuracy 71%", "left"):
        assert part in plain


def test_a_closed_output_ends_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    console = Console(total_steps=100, seconds=0.0)
    stream.close()
    for step in (10, 20):
        console.record(MetricsEvent(step, METRICS))
    console.close("FINISHED")
    assert caplog.text.count("cannot be written") == 1
