"""The local mirror of a run: `metrics.jsonl`, one line for every event, on disk before the next one."""

import errno
import json
import logging
import math
import os
import shutil
import time as clock
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from framework.errors import UserError
from framework.tracking import base
from framework.tracking.base import Event, Status, Tracker
from framework.tracking.media import file_name, write_picture, write_video

MIRROR: Final = "metrics.jsonl"
NOT_FINITE: Final = ("nan", "inf", "-inf")
CHECKSUM: Final = b', "checksum": '
"""Before the checksum of a line, its last field."""
MEDIUM: Final = {"step": int, "name": str, "path": str}
FIELDS: Final[Mapping[str, Mapping[str, type]]] = {
    "params": {"values": dict},
    "tags": {"values": dict},
    "metrics": {"step": int, "values": dict},
    "picture": MEDIUM,
    "video": MEDIUM,
    "file": {"path": str, "folder": str},
    "model": {"step": int, "path": str},
    "close": {"status": str},
}
"""The fields of each kind of record, beside its time."""

log = logging.getLogger(__name__)


@final
class Jsonl(Tracker):
    """Writes every event into the run's folder: numbers as lines, pictures and videos as files that a line names.

    A number that is not finite is the string "nan", "inf" or "-inf": the lines are strict JSON, and `float` reads them back.

    Args:
        run_folder: where `metrics.jsonl`, `pictures/` and `video/` are.
        resume_step: drop the lines of later steps first, and write no metric twice at this one; `None` keeps all.
    """

    def __init__(self, *, run_folder: Path, resume_step: int | None = None) -> None:
        self.run_folder, self.resume_step = run_folder, resume_step
        path = run_folder / MIRROR
        self._present = truncate(run_folder, resume_step) if path.exists() else set()
        self._file = path.open("ab", buffering=0)

    def record(self, event: Event) -> None:
        match event:
            case base.ParamsEvent(values):
                self._write("params", values={key: str(value) for key, value in values.items()})
            case base.TagsEvent(values):
                self._write("tags", values=dict(values))
            case base.MetricsEvent(step, values, time):
                present = self._present if step == self.resume_step else set()
                new = {name: _number(value) for name, value in values.items() if name not in present}
                if new:
                    self._write("metrics", time=time, step=step, values=new)
            case base.PictureEvent(name, step, image):
                path = write_picture(self.run_folder / "pictures" / file_name(name, step, "png"), image)
                self._write("picture", step=step, name=name, path=self._relative(path))
            case base.VideoEvent(name, step):
                path = write_video(self.run_folder / "video" / file_name(name, step, "mp4"), event.mp4)
                self._write("video", step=step, name=name, path=self._relative(path))
            case base.FileEvent(path, folder):
                self._write("file", path=self._relative(path), folder=folder)
            case base.PolicyEvent(checkpoint, step, requirements, observation, action, aliases):
                self._write(
                    "model",
                    step=step,
                    path=self._relative(checkpoint),
                    requirements=list(requirements),
                    observation={name: (f"{value.dtype}", value.shape[1:]) for name, value in observation.items()},
                    action=action.tolist(),
                    aliases=list(aliases),
                )

    def close(self, status: Status) -> None:
        self._write("close", status=status)
        self._file.close()

    def _relative(self, path: Path) -> str:
        path, home = path.absolute(), self.run_folder.absolute()
        return str(path.relative_to(home) if path.is_relative_to(home) else path)

    def _write(self, kind: str, *, time: float | None = None, **fields: object) -> None:
        line = _line({"time": clock.time() if time is None else time, "kind": kind, **fields})
        start = os.fstat(self._file.fileno()).st_size
        if self._file.write(line) != len(line):
            self._file.truncate(start)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.run_folder))


def _line(record: Mapping[str, object]) -> bytes:
    """A record with the checksum of its text."""
    text = json.dumps(record, allow_nan=False).encode()
    return text[:-1] + CHECKSUM + str(zlib.crc32(text)).encode() + b"}\n"


def parse(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None for one that is damaged. A line without a checksum, as earlier versions wrote it, is taken as it is."""
    text, separator, checksum = line.rpartition(CHECKSUM)
    try:
        if separator and int(checksum.rstrip(b"}\n")) != zlib.crc32(text + b"}"):
            return None
        record = json.loads(text + b"}" if separator else line)
    except (ValueError, RecursionError):
        return None
    return record if _is_record(record) else None


def _number(value: float) -> float | str:
    value = float(value)
    return value if math.isfinite(value) else str(value)


def read(run_folder: Path) -> Iterator[dict[str, Any]]:
    """The records of a run in order, without a last line that a crash cut short, and without damaged ones, with a warning.

    Raises `UserError` where there is no mirror.
    """
    path = run_folder / MIRROR
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"The metrics of the run cannot be read: {path} ({error.strerror}); give the folder of another run.") from error
    with file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            record = parse(line)
            if record is not None:
                yield record
            else:
                log.warning("%s:%d is damaged and is passed over.", path, number)


def _is_record(record: Any) -> bool:
    """Whether a line of JSON is a record with the fields of its kind."""
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        return False
    wanted = {"time": float, **FIELDS.get(record["kind"], {})}
    if not all(isinstance(record.get(name), kind) for name, kind in wanted.items()):
        return False
    return record["kind"] != "metrics" or all(isinstance(each, float | int) or each in NOT_FINITE for each in record["values"].values())


def read_event(record: dict[str, Any], run_folder: Path) -> Event | None:
    """The event of a record; `None` for the end of a run, and for a file that no longer exists. A policy's example is of zeros.

    Raises `ValueError` for what is damaged, and for a file outside the run folder, which another process may have entered.
    """
    path = run_folder / record.get("path", "")
    if not path.resolve().is_relative_to(run_folder.resolve()):
        raise ValueError(f"{path} is outside the run folder")
    try:
        return _event(record, path)
    except (AttributeError, KeyError, OSError, SyntaxError, TypeError) as error:  # a damaged picture is a `SyntaxError`
        raise ValueError(f"a record of {path} is damaged ({error})") from error


def _event(record: dict[str, Any], path: Path) -> Event | None:
    match record["kind"]:
        case "params":
            return base.ParamsEvent(record["values"])
        case "tags":
            return base.TagsEvent(record["values"])
        case "metrics":
            values = {name: float(value) for name, value in record["values"].items()}
            return base.MetricsEvent(record["step"], values, record["time"])
        case "picture" if path.is_file():
            from PIL import Image

            return base.PictureEvent(record["name"], record["step"], np.asarray(Image.open(path)))
        case "video" | "file" if path.is_file():
            return base.FileEvent(path, record.get("folder", "video"))
        case "model" if path.is_dir() and "action" in record:
            observation = {name: np.zeros((2, *shape), kind) for name, (kind, shape) in record["observation"].items()}
            action = np.asarray(record["action"], np.float32)
            return base.PolicyEvent(path, record["step"], record["requirements"], observation, action, record["aliases"])
    return None


def keep_copy(run_folder: Path, checkpoint: int) -> None:
    """Copy the mirror of a run that goes back, and whose last checkpoint has this number, until it has written another."""
    partial = run_folder / f"{MIRROR}.copy"
    if (run_folder / MIRROR).exists():
        shutil.copyfile(run_folder / MIRROR, partial)
        partial.replace(run_folder / f"{MIRROR}.{checkpoint}")


def restore_copy(run_folder: Path, checkpoint: int) -> None:
    """Return to the copy of a mirror, where a run went back, and ended before it wrote another checkpoint than this."""
    drop_copies(run_folder, but=checkpoint)
    copy = run_folder / f"{MIRROR}.{checkpoint}"
    if copy.exists():
        copy.replace(run_folder / MIRROR)


def drop_copies(run_folder: Path, *, but: int) -> None:
    """Remove the copies that a checkpoint has made unneeded."""
    for copy in run_folder.glob(f"{MIRROR}.*[0-9]"):
        if copy.name != f"{MIRROR}.{but}":
            copy.unlink()


def truncate(run_folder: Path, step: int | None) -> set[str]:
    """Drop a line that a crash cut short, and the lines of steps later than this one; `None` keeps every step.

    Returns the names of the metrics at this step.
    """
    records = [record for record in read(run_folder) if step is None or record.get("step", 0) <= step]
    kept = run_folder / f"{MIRROR}.kept"
    with kept.open("wb") as file:
        file.writelines(map(_line, records))
        file.flush()
        os.fsync(file.fileno())
    kept.replace(run_folder / MIRROR)
    return {name for record in records if record["kind"] == "metrics" and record["step"] == step for name in record["values"]}
