"""Text files that a user edited, in the encodings that editors write."""

from pathlib import Path

import pytest

from framework.errors import UserError
from framework.text import display, read_text
from framework.tracking.runs import RunRecord, read_run


def test_the_record_of_a_run_may_have_a_byte_order_mark_and_no_other_encoding(tmp_path: Path) -> None:
    RunRecord(tmp_path, name="é", experiment="dream", tracking_uri="", run_id=None, started="").write()
    file = tmp_path / "run.json"
    text = file.read_text().replace("\\u00e9", "é")
    file.write_text(text, encoding="utf-8-sig")
    assert read_run(tmp_path).name == "é"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=rf"^{file}:2: the file is not UTF-8 \(its byte 0xe9 is none\); save it as UTF-8.$"):
        read_run(tmp_path)


def test_every_line_ends_as_on_unix(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\r\nb\rc\n")
    assert read_text(tmp_path / "a.txt") == "a\nb\nc\n"


def test_a_path_is_shown_from_the_working_directory_or_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [display(path) for path in ("a/b.gin", tmp_path, "/a/b")] == ["a/b.gin", ".", "/a/b"]
    assert display(Path(__file__).parents[1] / "gin" / "run.gin") == "gin/run.gin"
