"""The local mirror of a run: `metrics.jsonl`, one line for every call, on disk before the next one."""

import json
import math
import os
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from jaxtyping import Num, UInt8

from framework.tracking.base import Status, Tracker, Unavailable
from framework.tracking.media import file_name, write_picture, write_video

MIRROR: Final = "metrics.jsonl"


@final
class Jsonl(Tracker):
    """Writes every call into the run's folder: numbers and texts as lines, pictures and videos as files that a line names.

    A number that is not finite is the string "nan", "inf" or "-inf": the lines are strict JSON, and `float` reads them back.

    Args:
        run_folder: where `metrics.jsonl`, `pictures/` and `video/` are.
        resume_step: drop the lines of later steps first, and write no metric twice at this one; `None` keeps all.
        forward: gets the file of each video, so that it is encoded once.
    """

    def __init__(self, *, run_folder: Path, resume_step: int | None = None, forward: Tracker | None = None) -> None:
        self.run_folder = run_folder
        self.forward = forward
        path = run_folder / MIRROR
        self._present = truncate(path, resume_step) if path.exists() else set()
        self._file = path.open("ab", buffering=0)

    def params(self, values: Mapping[str, object]) -> None:
        self._write("params", values={key: str(value) for key, value in values.items()})

    def tags(self, values: Mapping[str, str]) -> None:
        self._write("tags", values=dict(values))

    def metrics(self, step: int, values: Mapping[str, float], *, time: float | None = None) -> None:
        new = {key: _number(value) for key, value in values.items() if (key, step) not in self._present}
        if new:
            self._write("metrics", time=time, step=step, values=new)

    def picture(self, name: str, step: int, image: UInt8[np.ndarray, "Y X 3"]) -> None:
        path = self._writable(lambda: write_picture(self.run_folder / "pictures" / file_name(name, step, "png"), image))
        self._write("picture", step=step, name=name, path=self._relative(path))

    def video(self, name: str, step: int, frames: UInt8[np.ndarray, "T Y X 3"], fps: float) -> None:
        path = self._writable(lambda: write_video(self.run_folder / "video" / file_name(name, step, "mp4"), frames, fps))
        self._write("video", step=step, name=name, path=self._relative(path))
        if self.forward is not None:
            self.forward.file(path, "video")

    def file(self, path: Path, folder: str = "") -> None:
        self._write("file", path=self._relative(path), folder=folder)

    def text(self, name: str, content: str) -> None:
        self._write("text", name=name, content=content)

    def model(
        self,
        checkpoint: Path,
        *,
        step: int,
        observation: Mapping[str, Num[np.ndarray, "2 *shape"]],
        action: Num[np.ndarray, "2 A"],
        aliases: Sequence[str] = (),
    ) -> None:
        self._write("model", step=step, path=self._relative(checkpoint), aliases=list(aliases))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self, status: Status) -> None:
        self._write("close", status=status)
        self._file.close()

    def _relative(self, path: Path) -> str:
        path, home = path.absolute(), self.run_folder.absolute()
        return str(path.relative_to(home) if path.is_relative_to(home) else path)

    def _write(self, kind: str, *, time: float | None = None, **fields: object) -> None:
        record = {"time": clock.time() if time is None else time, "kind": kind, **fields}
        line = (json.dumps(record, allow_nan=False) + "\n").encode()
        start = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(line)
        except OSError as error:
            raise Unavailable(f"cannot write {self.run_folder / MIRROR}: {error}") from error
        if written != len(line):
            self._file.truncate(start)
            raise Unavailable(f"cannot write {self.run_folder / MIRROR}: the disk is full")

    def _writable(self, write: Callable[[], Path]) -> Path:
        try:
            return write()
        except OSError as error:
            raise Unavailable(f"cannot write into {self.run_folder}: {error}") from error


def _number(value: float) -> float | str:
    value = float(value)
    return value if math.isfinite(value) else str(value)


def read(run_folder: Path) -> Iterator[dict[str, Any]]:
    """The records of a run in order, without a last line that a crash cut short."""
    path = run_folder / MIRROR
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield _parse(line, path, number)


def truncate(path: Path, step: int | None) -> set[tuple[str, int]]:
    """Drop a line that a crash cut short, and the lines of later steps than this one (no others, if there is no step).

    Gives the metrics that the last step has.
    """
    kept, present = path.with_suffix(".kept"), set[tuple[str, int]]()
    with path.open("rb") as source, kept.open("wb") as target:
        for number, line in enumerate(source, start=1):
            if not line.endswith(b"\n"):
                continue
            record = _parse(line, path, number)
            if step is None or record.get("step", 0) <= step:
                target.write(line)
            if record["kind"] == "metrics" and record["step"] == step:
                present |= {(key, record["step"]) for key in record["values"]}
        target.flush()
        os.fsync(target.fileno())
    kept.replace(path)
    return present


def _parse(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{path}:{number} is not a line of JSON: {error}") from error
    return record
