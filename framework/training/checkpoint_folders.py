"""The folders of checkpoints: their names, and which one is meant."""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from framework.errors import UserError
from framework.training.manifest import PROGRESS, Manifest

NAME = re.compile(r"step-(\d{8,18})(?:-\d+)?")


def find(folder: Path, which: str | Path) -> Path:
    """The folder of `latest`, `best`, a name or a step number below `folder`, or a path of its own."""
    whole, folders = whole_below(folder), folders_below(folder)
    best = next((path for path, manifest in whole.items() if manifest.best), None)
    ranked = {name: path for name, path in (("latest", next(iter([*whole, *folders]), None)), ("best", best)) if path}
    names = {path.name: path for path in folders}
    of_step = {str(step_of(path)): path for path in reversed([*whole, *(path for path in folders if path not in whole)])}
    chosen = (of_step | names | ranked).get(str(which))
    if chosen is not None:
        return chosen
    if (Path(which) / PROGRESS).is_file():
        return Path(which)
    raise UserError(f"There is no checkpoint '{which}' in {folder}; there are: {', '.join([*ranked, *names]) or 'none'}.")


def name_of(step: int) -> str:
    return f"step-{step:08d}"


def step_of(folder: Path) -> int:
    match = NAME.fullmatch(folder.name)
    assert match is not None
    return int(match[1])


def free_names(folder: Path) -> Iterator[Path]:
    """The folder itself, and then names for later saves at the same step."""
    yield folder
    yield from (folder.with_name(f"{folder.name}-{number}") for number in count(2))


def folders_below(folder: Path) -> list[Path]:
    """The checkpoints below a folder, the largest step first."""
    return sorted(
        (path for path in folder.glob("step-*") if NAME.fullmatch(path.name)), key=lambda path: (step_of(path), path.name), reverse=True
    )


def whole_below(folder: Path) -> dict[Path, Manifest]:
    """The checkpoints whose manifest can be read, the last written first."""
    manifests = {}
    for path in folders_below(folder):
        with suppress(UserError):
            manifests[path] = Manifest.read(path)
    return dict(sorted(manifests.items(), key=lambda each: each[1].number, reverse=True))


def by_age(folder: Path) -> list[Path]:
    """The checkpoints from which a run continues, in their order: those of a later step than the last are of a future that it left.

    What cannot be read comes first, so that it is named.
    """
    whole = whole_below(folder)
    unreadable = [path for path in folders_below(folder) if path not in whole]
    last = next((manifest.step for manifest in whole.values()), 0)
    return [*unreadable, *(path for path, manifest in whole.items() if manifest.step <= last)]
