"""Checkpoints: the whole state of a run, written completely or not at all, in a thread beside training."""

import logging
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, final

from framework import files
from framework.errors import UserError
from framework.functional import ranks
from framework.registry import parts
from framework.replay.chunks import INDEX
from framework.training.checkpoint_folders import by_age, find, free_names, name_of, whole_below
from framework.training.job import all_in_writer, command, first, first_in_writer, place
from framework.training.manifest import Manifest, digest, part_of

Contents = Mapping[str, Any]
"""One file each: nested dicts, lists and tuples of tensors, arrays, numbers, strings and None."""
ReplaySaver = Callable[[Path], Callable[[], None]]
"""Copies the steps that a folder lacks, and returns the function that writes them: `Replay.snapshot`."""

REPLAY = "replay"
SHARED = ("agent", "optimizers", "policy", "settings")
"""Contents that all ranks have in common, which rank 0 writes."""

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
        return next(iter(whole_below(self.folder)), None)

    @property
    def best(self) -> Path | None:
        """The folder of the checkpoint with the best evaluation return."""
        return next((path for path, manifest in whole_below(self.folder).items() if manifest.best), None)

    @property
    def number(self) -> int:
        """The number of the last save, from 1; 0 before the first."""
        return next((manifest.number for manifest in whole_below(self.folder).values()), 0)

    @property
    def source(self) -> Path:
        """The folder that was loaded or written last."""
        assert self._source is not None, "load or save first"
        return self._source

    @property
    def replay(self) -> Path:
        """The folder of this rank's replay in `source`."""
        return self.source / self._part / REPLAY

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
        recipe: Mapping[Path, str] | None = None,
    ) -> None:
        """Copy the contents to the CPU and write them in the thread, after the last save. Raises `UserError` on a full disk.

        `recipe` are the texts of the run's recipe by their files, which hold from this checkpoint on. Where the `best` one fails, the
        next takes its place.
        """
        self.wait()
        self._step, self._best = step, best or self._best
        temporary = self.folder / f".writing-{name_of(step)}"
        linked = first(partial(self._prepare, temporary, links=bool(replay_saver and self._source)))
        copied = {name: files.plain(value, name) for name, value in contents.items() if not self._part or name not in SHARED}
        write_replay = replay_saver(temporary / self._part / REPLAY) if replay_saver else None
        manifest = Manifest(step, self.number + 1, self._best, linked)
        self._pending = self._writer.submit(self._write, temporary, manifest, copied, write_replay, recipe or {})

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
        self._source = first(partial(self._find_whole, which, ranks.size()))
        manifest = Manifest.read(self._source)
        self._step, names = manifest.step, [name for name in manifest.sha256 if REPLAY not in Path(name).parts[:-1]]
        own = [name for part in dict.fromkeys(("", self._part)) for name in names if part_of(name) == part]
        return self._step, {Path(name).stem: files.load(self._source / name) for name in own}

    def _find_whole(self, which: str | Path, size: int) -> Path:
        """The folder of a whole checkpoint, all ranks' files included, which as many ranks wrote."""
        candidates = by_age(self.folder) if which == "latest" else [find(self.folder, which)]
        for folder in candidates:
            if folder.resolve().parent != self.folder.resolve():
                raise UserError(f"The checkpoint {folder} is of another run than {self.folder.parent}; resume that run to go on from it.")
            try:
                manifest = Manifest.read(folder)
                manifest.require_whole(folder, manifest.sha256)
            except UserError as error:
                if folder == candidates[-1]:
                    raise
                log.warning("Passing over a checkpoint: %s", error)
                continue
            if manifest.ranks != size:
                raise UserError(
                    f"The checkpoint {folder} was written by {manifest.ranks} ranks, each with its environments and its replay, and now "
                    f"there are {size}; resume with as many: {command(manifest.ranks)} resume {self.folder.parent.name}"
                )
            return folder
        raise UserError(f"There is no checkpoint in {self.folder}; train first, or name the folder of another run.")

    @property
    def _part(self) -> str:
        """The folder of this rank's files in a checkpoint; rank 0 has none."""
        return f"rank-{place().rank}/" if place().rank else ""

    def _prepare(self, temporary: Path, *, links: bool) -> dict[str, str]:
        """Make the folders of all ranks, in place of what an earlier save left; returns the checksums of the files that it `links`."""
        with files.writing(self.folder, size=0):
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(".*-step-*"):
                shutil.rmtree(leftover)
            for part in ("", *(f"rank-{other}" for other in range(1, place().size))):
                (temporary / part).mkdir()
            return self._link_replays(temporary) if links else {}

    def _link_replays(self, target: Path) -> dict[str, str]:
        """Link the files of steps of all ranks' last replays; returns the checksums that they were written with."""
        try:
            manifest = Manifest.read(self.source)
        except UserError as error:
            log.warning("%s The replay is written again.", error)
            return {}
        names = [name for name in manifest.sha256 if REPLAY in Path(name).parts and not name.endswith(INDEX)]
        return {name: manifest.sha256[name] for name in names if _link(self.source / name, target / name)}

    def _write(
        self,
        temporary: Path,
        manifest: Manifest,
        contents: Contents,
        write_replay: Callable[[], None] | None,
        recipe: Mapping[Path, str],
    ) -> None:
        try:
            self._require_whole_links(manifest, temporary)
            digests = all_in_writer(partial(self._write_own, temporary, manifest, contents, write_replay))
            whole = replace(manifest, sha256={name: own[name] for own in digests for name in sorted(own)})
            self._source, self._best = first_in_writer(partial(self._publish, temporary, whole, recipe)), False
        finally:
            if not self._part:
                shutil.rmtree(temporary, ignore_errors=True)

    def _write_own(
        self, temporary: Path, manifest: Manifest, contents: Contents, write_replay: Callable[[], None] | None
    ) -> dict[str, str]:
        """Write the files of this rank; returns the checksum of each."""
        for name, value in contents.items():
            files.save(temporary / self._part / f"{name}.pt", value)
        if write_replay:
            write_replay()
        paths = {path.relative_to(temporary).as_posix(): path for path in temporary.rglob("*") if path.is_file()}
        own = {name: path for name, path in paths.items() if part_of(name) == self._part}
        files.flush(*own.values())
        return {name: manifest.sha256.get(name) or digest(path) for name, path in own.items()}

    def _require_whole_links(self, manifest: Manifest, folder: Path) -> None:
        """Raise `UserError` where a linked file of any rank is damaged, and make the next save due, which links none."""
        own = (name for name in manifest.sha256 if part_of(name) == self._part and manifest.is_changed(folder, name))
        damaged = next(filter(None, all_in_writer(lambda: next(own, None))), None)
        if damaged:
            source, self._source, self._step = self._source, None, -self.every
            raise UserError(f"The replay file {source}/{damaged} is damaged; the replay is written again.")

    def _publish(self, temporary: Path, manifest: Manifest, recipe: Mapping[Path, str]) -> Path:
        """Give the checkpoint its manifest and its name; once that is on the disk, remove what it replaces."""
        manifest.write(temporary)
        files.flush(*temporary.rglob("*"), temporary)
        for path, text in recipe.items():
            files.write(path, text.encode())
        files.flush(*recipe)
        with files.writing(self.folder, size=0):
            folder = next(path for path in free_names(self.folder / name_of(manifest.step)) if not path.exists())
            temporary.rename(folder)
            files.flush(self.folder)
            earlier = [path for path, other in whole_below(self.folder).items() if other.step <= manifest.step]
            for path in set(earlier[self.keep :]) - {self.best}:
                _drop(path)
        return folder


def read(folder: Path) -> tuple[int, dict[str, Any]]:
    """The step and the contents of one checkpoint, but the replay, and the first rank's of several.

    Raises `UserError` if a file is missing, changed or too old.
    """
    manifest = Manifest.read(folder)
    names = [name for name in manifest.sha256 if "/" not in name]
    manifest.require_whole(folder, names)
    return manifest.step, {Path(name).stem: files.load(folder / name) for name in names}


def require_whole_replay(folder: Path) -> None:
    """Raise `UserError` where a file of a checkpoint's replay is missing or changed."""
    manifest = Manifest.read(folder)
    manifest.require_whole(folder, [name for name in manifest.sha256 if name.startswith(f"{REPLAY}/")])


def _drop(folder: Path) -> None:
    """Rename before removing, so that a kill leaves no incomplete checkpoint under the name."""
    hidden = folder.with_name(f".dropped-{folder.name}")
    folder.rename(hidden)
    shutil.rmtree(hidden)


def _link(source: Path, target: Path) -> bool:
    """A hard link to a file, a copy where the file system has none; returns whether there is such a file."""
    if source.exists():
        target.parent.mkdir(exist_ok=True)
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copy2(source, target)
    return source.exists()
