"""Whose code a run may execute: that of this user's own trainings is recognized by its digests, any other only where it is trusted.

A run's folder and a policy bring the modules of their components along. Whoever trains puts the digests of these modules into a file of
their own, `trusted-code` in the folder of user data, so that a run may be moved, copied or stored in MLflow. Before a run imports a
module, every file that Python could import from that folder must be among them.
"""

import errno
import hashlib
import logging
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import Final

from framework.errors import Place, UserError
from framework.text import display

VARIABLE: Final = "DREAM_TRUST"
"""An environment variable: 1 trusts the code of every run and policy, for a container without a home, or MLflow, which passes nothing."""
OF_A_RUN: Final = ("resolved.gin", "operative.gin")
CACHE: Final = "__pycache__"

log = logging.getLogger(__name__)


def belongs_to_run(recipe: Path) -> bool:
    """Whether a recipe is that of a run or a policy, and not a file that the user wrote or chose as a program."""
    return recipe.name in OF_A_RUN or (recipe.parent / "run.json").exists()


def record(files: Iterable[Path]) -> None:
    """Enter the files of a training of this user."""
    new = {_digest(file) for file in files} - _recorded()
    if not new:
        return
    path = _store()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.writelines(f"{digest}\n" for digest in sorted(new))
    except OSError as error:
        log.warning("%s cannot be written (%s): to resume or evaluate this run will need --trust.", path, error.strerror)


def require_own(folder: Path, place: Place) -> None:
    """Raise a `UserError`, with the place of the import, that lists the files of a folder that are of no training of this user.

    Python's cached files are dropped, since they may differ from the sources that were recognized.
    """
    recorded = _recorded()
    foreign = [display(file) for file in _importable(folder) if _digest(file) not in recorded]
    if foreign:
        raise UserError(
            f"this run or policy has code that none of your trainings wrote, which would run: {', '.join(foreign)}; read it, and if you "
            f"trust it give --trust, in Python trust=True, and for mlflow.pyfunc.load_model the environment variable {VARIABLE}=1.",
            place=place,
        )
    for parent, folders, _ in os.walk(folder, followlinks=True):
        if CACHE in folders:
            shutil.rmtree(Path(parent, CACHE), onerror=_require_gone)


def _require_gone(function: object, path: str | Path, details: tuple[type[BaseException], BaseException, object]) -> None:
    """Refuse what cannot be removed, unless another process of this user has removed it, or writes its own, at the same time."""
    error = details[1]
    if isinstance(error, OSError) and error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
        raise UserError(f"{display(path)} cannot be removed ({error.strerror}), and may hold other code; remove it.") from error


def is_trusted(trust: bool) -> bool:
    """Whether all code is trusted, by an option or by the environment."""
    return trust or os.environ.get(VARIABLE) == "1"


def _importable(folder: Path) -> Iterator[Path]:
    """Every file below a folder that Python may import, links included, sorted."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(set(folders) - {CACHE})
        yield from (Path(parent, name) for name in sorted(names) if name.endswith(tuple(all_suffixes())))


def _digest(file: Path) -> str:
    """The digest of a source, however its lines end."""
    return hashlib.sha256(file.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")).hexdigest()


def _recorded() -> set[str]:
    """The digests of the code of this user; none from a file that another user owns or may write."""
    try:
        with _store().open(encoding="ascii", errors="replace") as file:
            status = os.fstat(file.fileno())
            is_own = status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            return set(file.read().split()) if is_own else set()
    except OSError:
        return set()


def _store() -> Path:
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data, "dream-framework", "trusted-code")
