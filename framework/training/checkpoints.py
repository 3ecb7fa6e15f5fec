"""Checkpoints: the whole state of a run, written completely or not at all, in a thread beside training."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from framework import files
from framework.errors import UserError
from framework.registry import parts

Contents = Mapping[str, Any]
"""One file each: nested dicts, lists and tuples of tensors, arrays, numbers, strings and None."""
ReplaySaver = Callable[[Path], Callable[[], None]]
"""Copies the steps that a folder lacks, and returns the function that writes them: `Replay.snapshot`."""

FORMAT = 3
"""Increased when the contents of a checkpoint change, so that an old one is refused and not misread."""
PROGRESS = "progress.json"
POINTERS = "pointers.json"
REPLAY = "replay"

log = logging.getLogger(__name__)


@final
@parts.register
class Checkpoints:
    """Writes `step-00012000/{agent.pt, ..., replay/, progress.json}` below `folder`, every `every` environment steps.

    The `keep` latest and the best by evaluation return are kept. `save` copies, and one thread writes: to a hidden folder, flushed,
    then renamed, so that a kill or a full disk leaves the earlier checkpoints intact. An error in the thread is raised at the next
    `save` or `wait`. Each checkpoint is complete in itself; replay files that did not change are hard links. After a return to an
    earlier step, the next save drops the later checkpoints, except the best.
    """

    derived: ClassVar[tuple[str, ...]] = ("folder",)

    def __init__(self, *, every: int, keep: int = 3, folder: Path) -> None:
        for name, value in (("every", every), ("keep", keep)):
            if value < 1:
                raise UserError(f"Checkpoints.{name} is {value}; bind a whole number of at least 1.")
        self.every, self.keep, self.folder = every, keep, folder
        self._step = 0
        self._source: Path | None = None
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._pending: Future[None] | None = None

    @property
    def latest(self) -> Path | None:
        """The folder of the last checkpoint."""
        return next(iter(_by_age(self.folder)), None)

    @property
    def best(self) -> Path | None:
        """The folder of the checkpoint with the best evaluation return."""
        name = _pointers(self.folder).get("best")
        return self.folder / name if name else None

    def due(self, step: int) -> bool:
        """Whether a multiple of `every` was passed since the last save."""
        return step // self.every > self._step // self.every

    def replay_folder(self, step: int) -> Path:
        """The folder of the replay in the checkpoint of a step."""
        return self.folder / _name(step) / REPLAY

    def save(self, step: int, contents: Contents, replay_saver: ReplaySaver | None = None, best: bool = False) -> None:
        """Copy the contents to the CPU and write them in the thread, after the last save. Raises `UserError` on a full disk."""
        self.wait()
        self._step = step
        with files.writing(self.folder, size=0):
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(".*-step-*"):
                shutil.rmtree(leftover)
            temporary = self.folder / f".writing-{_name(step)}"
            temporary.mkdir()
            if replay_saver and self._source:
                shutil.copytree(self._source / REPLAY, temporary / REPLAY, copy_function=_link)
        copied = {name: _plain(value, name) for name, value in contents.items()}
        write_replay = replay_saver(temporary / REPLAY) if replay_saver else None
        self._pending = self._writer.submit(self._write, temporary, step, copied, write_replay, best)

    def wait(self) -> None:
        """Wait until the last save is on the disk, and raise its error if it failed."""
        pending, self._pending = self._pending, None
        if pending:
            pending.result()

    def load(self, which: str | Path = "latest") -> tuple[int, dict[str, Any]]:
        """The step and the contents of `latest`, `best`, a name, a step number or a folder.

        If the latest is damaged, the one before is loaded, with a warning. Raises `UserError` if there is no such checkpoint.
        """
        self.wait()
        candidates = _by_age(self.folder) if which == "latest" else [find(self.folder, which)]
        for folder in candidates:
            try:
                self._step, contents = read(folder)
            except UserError as error:
                if folder == candidates[-1]:
                    raise
                log.warning("Passing over a checkpoint: %s", error)
            else:
                self._source = folder
                return self._step, contents
        raise UserError(f"There is no checkpoint in {self.folder}; train first, or name the folder of another run.")

    def _write(self, temporary: Path, step: int, contents: Contents, write_replay: Callable[[], None] | None, best: bool) -> None:
        try:
            for name, value in contents.items():
                files.save(temporary / f"{name}.pt", value)
            if write_replay:
                write_replay()
            progress = {"format": FORMAT, "step": step, "sha256": {f"{name}.pt": _digest(temporary / f"{name}.pt") for name in contents}}
            files.write(temporary / PROGRESS, json.dumps(progress, indent=2).encode())
            files.flush(*temporary.rglob("*"), temporary)
            with files.writing(self.folder, size=0):
                self._publish(temporary, best)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _publish(self, temporary: Path, best: bool) -> None:
        folder = self.folder / temporary.name.removeprefix(".writing-")
        if folder.exists():
            _drop(folder)
        temporary.rename(folder)
        pointers = _pointers(self.folder) | {"latest": folder.name} | ({"best": folder.name} if best else {})
        files.write(self.folder / POINTERS, json.dumps(pointers, indent=2).encode())
        files.flush(self.folder)
        self._source = folder
        kept = {path.name for path in _by_age(self.folder)[: self.keep]} | {pointers.get("best")}
        for name in _names(self.folder):
            if name not in kept:
                _drop(self.folder / name)


def find(folder: Path, which: str | Path) -> Path:
    """The folder of `latest`, `best`, a name or a step number below `folder`, or a path of its own."""
    names = _names(folder)
    pointers = ({"latest": names[0]} if names else {}) | _pointers(folder)
    name = _name(int(str(which))) if str(which).isdecimal() else pointers.get(str(which), str(which))
    if name in names:
        return folder / name
    if (Path(which) / PROGRESS).is_file():
        return Path(which)
    raise UserError(f"There is no checkpoint '{which}' in {folder}; there are: {', '.join([*pointers, *names]) or 'none'}.")


def read(folder: Path) -> tuple[int, dict[str, Any]]:
    """The step and the contents of one checkpoint. Raises `UserError` if a file is missing or changed, or of another format."""
    try:
        progress = json.loads((folder / PROGRESS).read_text())
        if progress.get("format", 1) != FORMAT:
            raise UserError(
                f"The checkpoint {folder} has format {progress.get('format', 1)}, and this version reads format {FORMAT}: train again, or "
                "load it with the version that wrote it."
            )
        for name, digest in progress["sha256"].items():
            if _digest(folder / name) != digest:
                raise ValueError(name)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"The checkpoint {folder} is damaged ({error}); load another.") from error
    return progress["step"], {Path(name).stem: files.load(folder / name) for name in progress["sha256"]}


def _plain(value: Any, where: str) -> Any:
    """A copy on the CPU, in types that load without running code."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    raise TypeError(f"{where} is a {type(value).__name__}, which a checkpoint cannot hold")


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _names(folder: Path) -> list[str]:
    """The checkpoints below a folder, the largest step first."""
    names = [path.name for path in folder.glob("step-*") if path.name.removeprefix("step-").isdecimal()]
    return sorted(names, key=lambda name: int(name.removeprefix("step-")), reverse=True)


def _by_age(folder: Path) -> list[Path]:
    """The last written first, without later steps, which were abandoned when a run returned to an earlier one."""
    names = _names(folder)
    latest = _pointers(folder).get("latest")
    return [folder / name for name in (names[names.index(latest) :] if latest in names else names)]


def _pointers(folder: Path) -> dict[str, str]:
    try:
        return json.loads((folder / POINTERS).read_text())
    except (OSError, ValueError):
        return {}


def _drop(folder: Path) -> None:
    """Rename before removing, so that a kill leaves no incomplete checkpoint under the name."""
    hidden = folder.with_name(f".dropped-{folder.name}")
    folder.rename(hidden)
    shutil.rmtree(hidden)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _link(source: str, target: str) -> None:
    """A hard link to a file; a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
