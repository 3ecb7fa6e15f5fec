"""The mirror of a run: one line for every event."""

import json
import math
from pathlib import Path

import av
import numpy as np
import pytest

from framework.tracking.base import MetricsEvent, ParamsEvent, VideoEvent
from framework.tracking.jsonl import MIRROR, Jsonl, read


def steps(folder: Path) -> list[int]:
    return [record["step"] for record in read(folder) if record["kind"] == "metrics"]


def test_every_call_is_a_line_on_disk_before_the_next(tmp_path: Path) -> None:
    mirror = Jsonl(run_folder=tmp_path)
    mirror.record(ParamsEvent({"a": 1}))
    mirror.record(MetricsEvent(10, {"train/return": 2.5}, time=7.0))
    mirror.record(MetricsEvent(11, {"a": math.inf, "b": -math.inf, "c": math.nan}))
    lines = [json.loads(line) for line in (tmp_path / MIRROR).read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["params", "metrics", "metrics"]
    assert lines[1].pop("checksum") > 0
    assert lines[1] == {"time": 7.0, "kind": "metrics", "step": 10, "values": {"train/return": 2.5}}
    assert lines[2]["values"] == {"a": "inf", "b": "-inf", "c": "nan"}, "which `float` reads, in strict JSON"


def test_a_resumed_mirror_drops_later_steps_and_a_line_cut_short_and_writes_none_twice(tmp_path: Path) -> None:
    first = Jsonl(run_folder=tmp_path)
    for step in (100, 200, 300):
        first.record(MetricsEvent(step, {"a": 1.0}))
    with (tmp_path / MIRROR).open("a") as file:
        file.write('{"time": 1, "kind": "met')
    assert steps(tmp_path) == [100, 200, 300]
    again = Jsonl(run_folder=tmp_path, resume_step=200)
    again.record(MetricsEvent(200, {"a": 2.0}))
    again.record(MetricsEvent(300, {"a": 2.0}))
    assert steps(tmp_path) == [100, 200, 300]
    assert [record["values"]["a"] for record in read(tmp_path)] == [1.0, 1.0, 2.0]


def test_a_digit_that_changed_is_noticed_and_a_line_without_a_checksum_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Jsonl(run_folder=tmp_path).record(MetricsEvent(120, {"a": 2.5, "b": math.nan}, time=7.25))
    line = (tmp_path / MIRROR).read_text()
    digits = [place for place, character in enumerate(line) if character.isdigit()]
    for place in digits:
        (tmp_path / MIRROR).write_text(line[:place] + str((int(line[place]) + 1) % 10) + line[place + 1 :])
        assert list(read(tmp_path)) == []
    assert len(digits) > 15
    assert caplog.text.count("metrics.jsonl:1 is damaged and is passed over") == len(digits)
    (tmp_path / MIRROR).write_text(line.partition(', "checksum"')[0] + "}\n")
    assert [record["step"] for record in read(tmp_path)] == [120]


def test_a_full_disk_is_an_error_of_the_operating_system(tmp_path: Path) -> None:
    mirror = Jsonl(run_folder=tmp_path)
    mirror._file = open("/dev/full", "ab", buffering=0)  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"):
        mirror.record(MetricsEvent(1, {"a": 1.0}))


def test_a_video_is_encoded_once_into_a_file_of_even_size_that_plays(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (5, 33, 47, 3), np.uint8)
    event = VideoEvent("eval/episode", 40, frames, 20.0)
    Jsonl(run_folder=tmp_path).record(event)
    assert event.mp4 is event.mp4, "every other tracker has the same bytes"
    with av.open(str(tmp_path / "video" / "eval-episode-40.mp4")) as container:
        shown = list(container.decode(video=0))
    assert len(shown) == 5
    assert (shown[0].height, shown[0].width) == (232, 330)
