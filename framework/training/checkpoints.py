"""Checkpoints: the whole state of a run, written completely or not at all, in a thread beside training."""

import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, final

from framework import files
from framework.errors import UserError
from framework.registry import parts
from framework.replay.chunks import INDEX
from framework.training.manifest import PROGRESS, Manifest, digest

Contents = Mapping[str, Any]
"""One file each: nested dicts, lists and tuples of tensors, arrays, numbers, strings and None."""
ReplaySaver = Callable[[Path], Callable[[], None]]
"""Copies the steps that a folder lacks, and returns the function that writes them: `Replay.snapshot`."""

REPLAY = "replay"
NAME = re.compile(r"step-(\d{8,18})(?:-\d+)?")

log = logging.getLogger(__name__)


@final
@parts.register
class Checkpoints:
    """Writes `step-00012000/{agent.pt, ..., replay/, progress.json}` below `folder`, every `every` environment steps.

    The `keep` latest and the best by evaluation return are kept. `save` copies, and one thread writes: to a hidden folder, flushed, then
    renamed to a name that is free (`step-00012000-2` for a second save at a step), and only then older ones are removed. A kill or a full
    disk leaves the earlier checkpoints intact. An error in the thread is raised at the next `save` or `wait`.

    Each checkpoint is complete in itself, and every byte of it is covered by a checksum. Replay files that did not change are hard links.
    The thread reads them again: where one was damaged, there is no checkpoint, and another is due at once, whose replay is written anew
    from memory. After a return to an earlier step, later checkpoints stay until the run has passed their steps.
    """

    derived: ClassVar[tuple[str, ...]] = ("folder",)

    def __init__(self, *, every: int, keep: int = 3, folder: Path) -> None:
        for name, value in (("every", every), ("keep", keep)):
            if value < 1:
                raise UserError(f"Checkpoints.{name} is {value}; bind a whole number of at least 1.")
        self.every, self.keep, self.folder = every, keep, folder
        self._step = 0
        self._best = False
        self._source: Path | None = None
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._pending: Future[None] | None = None

    @property
    def latest(self) -> Path | None:
        """The folder of the last checkpoint."""
        return next(iter(_whole(self.folder)), None)

    @property
    def best(self) -> Path | None:
        """The folder of the checkpoint with the best evaluation return."""
        return next((path for path, manifest in _whole(self.folder).items() if manifest.best), None)

    @property
    def number(self) -> int:
        """The number of the last save, from 1; 0 before the first."""
        return next((manifest.number for manifest in _whole(self.folder).values()), 0)

    @property
    def source(self) -> Path:
        """The folder that was loaded or written last."""
        assert self._source is not None, "load or save first"
        return self._source

    def due(self, step: int) -> bool:
        """Whether a multiple of `every` was passed since the last save, or that found a damaged file."""
        return step // self.every > self._step // self.every

    def save(
        self,
        step: int,
        contents: Contents,
        replay_saver: ReplaySaver | None = None,
        *,
        best: bool = False,
        beside: Mapping[Path, str] | None = None,
    ) -> None:
        """Copy the contents to the CPU and write them in the thread, after the last save. Raises `UserError` on a full disk.

        `beside` are the texts of files outside the checkpoint that are true from it on. Where the `best` one fails, the next takes its
        place.
        """
        self.wait()
        self._step, self._best = step, best or self._best
        with files.writing(self.folder, size=0):
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(".*-step-*"):
                shutil.rmtree(leftover)
            temporary = self.folder / f".writing-{_name(step)}"
            temporary.mkdir()
            linked = self._link_replay(temporary) if replay_saver and self._source else {}
        copied = {name: files.plain(value, name) for name, value in contents.items()}
        write_replay = replay_saver(temporary / REPLAY) if replay_saver else None
        manifest = Manifest(step, self.number + 1, self._best, linked)
        self._pending = self._writer.submit(self._write, temporary, manifest, copied, write_replay, beside or {})

    def wait(self) -> None:
        """Wait until the last save is on the disk, and raise its error if it failed."""
        pending, self._pending = self._pending, None
        if pending:
            pending.result()

    def load(self, which: str | Path = "latest") -> tuple[int, dict[str, Any]]:
        """The step and the contents of `latest`, `best`, a name, a step number or a folder of this run; `source` is its folder.

        If the latest is damaged, its replay included, the one before is loaded, with a warning. Raises `UserError` if there is no such
        checkpoint.
        """
        self.wait()
        candidates = _by_age(self.folder) if which == "latest" else [find(self.folder, which)]
        for folder in candidates:
            if folder.resolve().parent != self.folder.resolve():
                raise UserError(f"The checkpoint {folder} is of another run than {self.folder.parent}; resume that run to go on from it.")
            try:
                require_whole_replay(folder)
                self._step, contents = read(folder)
            except UserError as error:
                if folder == candidates[-1]:
                    raise
                log.warning("Passing over a checkpoint: %s", error)
            else:
                self._source = folder
                return self._step, contents
        raise UserError(f"There is no checkpoint in {self.folder}; train first, or name the folder of another run.")

    def _link_replay(self, target: Path) -> dict[str, str]:
        """Link the files of steps of the last replay; returns the checksums that they were written with."""
        try:
            manifest = Manifest.read(self.source)
        except UserError as error:
            log.warning("%s The replay is written again.", error)
            return {}
        (target / REPLAY).mkdir()
        names = [name for name in manifest.sha256 if name.startswith(f"{REPLAY}/") and name != f"{REPLAY}/{INDEX}"]
        return {name: manifest.sha256[name] for name in names if _link(self.source / name, target / name)}

    def _write(
        self,
        temporary: Path,
        manifest: Manifest,
        contents: Contents,
        write_replay: Callable[[], None] | None,
        beside: Mapping[Path, str],
    ) -> None:
        try:
            self._require_whole_links(manifest, temporary)
            for name, value in contents.items():
                files.save(temporary / f"{name}.pt", value)
            if write_replay:
                write_replay()
            paths = sorted(path for path in temporary.rglob("*") if path.is_file())
            names = {path.relative_to(temporary).as_posix(): path for path in paths}
            replace(manifest, sha256={name: manifest.sha256.get(name) or digest(path) for name, path in names.items()}).write(temporary)
            files.flush(*temporary.rglob("*"), temporary)
            for path, text in beside.items():
                files.write(path, text.encode())
            files.flush(*beside)
            with files.writing(self.folder, size=0):
                self._publish(temporary, manifest)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _require_whole_links(self, manifest: Manifest, folder: Path) -> None:
        """Raise `UserError` where a linked file is damaged, and make the next save due, which links none."""
        damaged = next((name for name in manifest.sha256 if manifest.is_changed(folder, name)), None)
        if damaged:
            source, self._source, self._step = self._source, None, -self.every
            raise UserError(f"The replay file {source}/{damaged} is damaged; the replay is written again.")

    def _publish(self, temporary: Path, manifest: Manifest) -> None:
        """Give the checkpoint its name; once that is on the disk, remove what it replaces."""
        name = _name(manifest.step)
        folder = next(path for path in _free_names(self.folder / name) if not path.exists())
        temporary.rename(folder)
        files.flush(self.folder)
        self._source, self._best = folder, False
        whole = _whole(self.folder)
        earlier = [path for path, other in whole.items() if other.step <= manifest.step]
        for path in set(earlier[self.keep :]) - {self.best}:
            _drop(path)


def find(folder: Path, which: str | Path) -> Path:
    """The folder of `latest`, `best`, a name or a step number below `folder`, or a path of its own."""
    whole, folders = _whole(folder), _folders(folder)
    best = next((path for path, manifest in whole.items() if manifest.best), None)
    ranked = {name: path for name, path in (("latest", next(iter([*whole, *folders]), None)), ("best", best)) if path}
    names = {path.name: path for path in folders}
    of_step = {str(_step(path)): path for path in reversed([*whole, *(path for path in folders if path not in whole)])}
    chosen = (of_step | names | ranked).get(str(which))
    if chosen is not None:
        return chosen
    if (Path(which) / PROGRESS).is_file():
        return Path(which)
    raise UserError(f"There is no checkpoint '{which}' in {folder}; there are: {', '.join([*ranked, *names]) or 'none'}.")


def read(folder: Path) -> tuple[int, dict[str, Any]]:
    """The step and the contents of one checkpoint, but the replay. Raises `UserError` if a file is missing, changed or too old."""
    manifest = Manifest.read(folder)
    names = [name for name in manifest.sha256 if not name.startswith(f"{REPLAY}/")]
    manifest.require_whole(folder, names)
    return manifest.step, {Path(name).stem: files.load(folder / name) for name in names}


def require_whole_replay(folder: Path) -> None:
    """Raise `UserError` where a file of a checkpoint's replay is missing or changed."""
    manifest = Manifest.read(folder)
    manifest.require_whole(folder, [name for name in manifest.sha256 if name.startswith(f"{REPLAY}/")])


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _step(folder: Path) -> int:
    match = NAME.fullmatch(folder.name)
    assert match is not None
    return int(match[1])


def _free_names(folder: Path) -> Iterator[Path]:
    """The folder itself, and then names for later saves at the same step."""
    yield folder
    yield from (folder.with_name(f"{folder.name}-{number}") for number in count(2))


def _folders(folder: Path) -> list[Path]:
    """The checkpoints below a folder, the largest step first."""
    return sorted(
        (path for path in folder.glob("step-*") if NAME.fullmatch(path.name)), key=lambda path: (_step(path), path.name), reverse=True
    )


def _whole(folder: Path) -> dict[Path, Manifest]:
    """The checkpoints whose manifest can be read, the last written first."""
    manifests = {}
    for path in _folders(folder):
        with suppress(UserError):
            manifests[path] = Manifest.read(path)
    return dict(sorted(manifests.items(), key=lambda each: each[1].number, reverse=True))


def _by_age(folder: Path) -> list[Path]:
    """The checkpoints from which a run continues, in their order: those of a later step than the last are of a future that it left.

    What cannot be read comes first, so that it is named.
    """
    whole = _whole(folder)
    unreadable = [path for path in _folders(folder) if path not in whole]
    last = next((manifest.step for manifest in whole.values()), 0)
    return [*unreadable, *(path for path, manifest in whole.items() if manifest.step <= last)]


def _drop(folder: Path) -> None:
    """Rename before removing, so that a kill leaves no incomplete checkpoint under the name."""
    hidden = folder.with_name(f".dropped-{folder.name}")
    folder.rename(hidden)
    shutil.rmtree(hidden)


def _link(source: Path, target: Path) -> bool:
    """A hard link to a file, a copy where the file system has none; returns whether there is such a file."""
    if source.exists():
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copy2(source, target)
    return source.exists()
