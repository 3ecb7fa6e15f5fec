"""The manifest of a checkpoint: what it is, and the checksum of each of its files."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from framework import files
from framework.errors import UserError

FORMAT = 4
"""Increased when the contents of a checkpoint change, so that an old one is refused and not misread."""
PROGRESS = "progress.json"
NAME = re.compile(r"(rank-\d+/)?(replay/)?[\w-]+\.pt")
"""A file of a checkpoint, and none outside of it; those of ranks other than the first are in folders of their own."""


@final
@dataclass(frozen=True)
class Manifest:
    """`progress.json`: the step, the number of the save, whether it is the best so far, and the checksum of every other file."""

    step: int
    number: int
    best: bool
    sha256: Mapping[str, str]

    @property
    def ranks(self) -> int:
        """How many ranks wrote it."""
        return 1 + len({part_of(name) for name in self.sha256} - {""})

    def write(self, folder: Path) -> None:
        """Write it, with a checksum of its own."""
        record = {"format": FORMAT, **asdict(self)}
        files.write(folder / PROGRESS, json.dumps(record | {"checksum": _checksum(record)}, indent=2).encode())

    @staticmethod
    def read(folder: Path) -> "Manifest":
        """Read that of a checkpoint. Raises `UserError` if it is missing, changed or of another format."""
        try:
            record = json.loads((folder / PROGRESS).read_text())
            written = record.pop("format", 1)
            if written != FORMAT:
                raise UserError(
                    f"The checkpoint {folder} has format {written}, and this version reads format {FORMAT}: train again, or load it with "
                    "the version that wrote it."
                )
            if record.pop("checksum") != _checksum({"format": written, **record}):
                raise ValueError(PROGRESS)
            manifest = Manifest(**record)
            if not all(NAME.fullmatch(name) for name in manifest.sha256) or not isinstance(manifest.step + manifest.number, int):
                raise ValueError(f"{PROGRESS} names no files of a checkpoint")
            return manifest
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _damaged(folder, str(error)) from error

    def require_whole(self, folder: Path, names: Iterable[str]) -> None:
        """Raise `UserError` where one of these files is missing or changed; several threads read them."""
        with ThreadPoolExecutor() as readers:
            for name, changed in readers.map(lambda name: (name, self.is_changed(folder, name)), names):
                if changed:
                    raise _damaged(folder, name)

    def is_changed(self, folder: Path, name: str) -> bool:
        """Whether a file is not the one that was written, or cannot be read."""
        try:
            return digest(folder / name) != self.sha256[name]
        except OSError:
            return True


def digest(file: Path) -> str:
    """The checksum of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def part_of(name: str) -> str:
    """The folder of the rank that wrote a file, with its `/`; rank 0 has none."""
    return name.split("/")[0] + "/" if name.startswith("rank-") else ""


def _damaged(folder: Path, reason: str) -> UserError:
    return UserError(f"The checkpoint {folder} is damaged ({reason}); load another.")


def _checksum(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
