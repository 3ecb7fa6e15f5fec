"""`doctor`."""

import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final

import click

from framework.cli import options, output
from framework.environments.opengl import try_opengl
from framework.errors import UserError
from framework.registry import plugins, require_gin
from framework.text import display
from framework.tracking import store
from framework.tracking.provenance import NO_PACKAGE, versions

LITTLE_SPACE: Final = 5.0
"""Gigabytes below which a run of a day may fill the disk."""


@final
@dataclass(frozen=True)
class Finding:
    """One thing that training needs: `ok`, `note` (it works, and something should be known) or `broken`."""

    name: str
    verdict: Literal["ok", "note", "broken"]
    what: str


@click.command("doctor")
@options.folder
@options.as_json
@click.pass_context
def doctor_command(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """See whether this machine has all that training needs.

    The exit status is 1 if something is broken. It takes some seconds: torch is imported, and an image rendered.

    \b
    dream doctor
    """
    findings = [*_findings(folder)]
    if as_json:
        output.as_json([vars(each) for each in findings])
    else:
        output.table(["what", "verdict", "found"], [[each.name, each.verdict, each.what] for each in findings])
    if any(each.verdict == "broken" for each in findings):
        ctx.exit(1)


def _findings(folder: Path) -> Iterator[Finding]:
    yield _python()
    yield from _packages()
    yield _gin()
    yield from _torch()
    yield _opengl()
    yield _store(folder)
    yield _space(folder)
    for plugin in plugins():
        where = f"{plugin.module} of {plugin.distribution}"
        yield Finding(f"plugin {plugin.name}", "broken" if plugin.error else "ok", f"{where}: {plugin.error}" if plugin.error else where)


def _python() -> Finding:
    return Finding("python", "ok" if sys.version_info >= (3, 11) else "broken", f"{platform.python_version()}, {sys.executable}")


def _packages() -> Iterator[Finding]:
    for name, number in versions().items():
        if name == "mujoco" and number.split(".")[0].isdigit() and int(number.split(".")[0]) >= 4:
            yield Finding(name, "broken", f"{number}, with which dm_control fails: run `pip install 'mujoco<4'`")
        elif number == NO_PACKAGE:
            yield Finding(name, "note" if name == "dream-framework" else "broken", f"not installed: run `pip install {name}`")
        else:
            yield Finding(name, "ok", number)


def _gin() -> Finding:
    try:
        require_gin()
    except UserError as error:
        return Finding("gin", "broken", str(error))
    return Finding("gin", "ok", "`import gin` finds gin-config")


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except Exception as error:  # a broken installation fails in many ways, and is what this command is for
        yield Finding("device", "broken", f"torch cannot be imported ({type(error).__name__}: {error}): install it again")
        return
    device = torch.accelerator.current_accelerator(check_available=True)
    count = torch.accelerator.device_count() if device is not None else 0
    yield Finding("device", "ok", f"{count} x {device}" if device is not None else f"cpu, {torch.get_num_threads()} threads")
    yield _ranks()


def _ranks() -> Finding:
    import torch.distributed as distributed

    backends = {"gloo": distributed.is_gloo_available, "nccl": distributed.is_nccl_available} if distributed.is_available() else {}
    names = [name for name, is_available in backends.items() if is_available()]
    text = f"{' and '.join(names)} for torchrun; several ranks are untested on CUDA" if names else "no torch.distributed: one rank alone"
    return Finding("ranks", "ok" if names else "note", text)


def _opengl() -> Finding:
    try:
        return Finding("opengl", "ok", f"{try_opengl()} renders")
    except UserError as error:
        return Finding("opengl", "broken", str(error))


def _store(folder: Path) -> Finding:
    uri = store.chosen_uri(folder)
    address, database = store.masked(uri), store.database(uri)
    if store.is_server(uri):
        reason = store.problem(uri)
        return Finding(
            "mlflow store", "note" if reason else "ok", f"{address} does not answer ({reason}): runs go to {folder}" if reason else address
        )
    if database is not None and not database.exists():
        return Finding("mlflow store", "ok", f"{display(database)}, which the first run makes")
    try:
        store.check(uri)
    except sqlite3.Error as error:
        return Finding("mlflow store", "broken", f"{address} cannot be written ({error}): name another --folder")
    return Finding("mlflow store", "ok", f"{address} can be written")


def _space(folder: Path) -> Finding:
    present = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(present).free / 1e9
    return Finding("disk", "ok" if free > LITTLE_SPACE else "note", f"{free:.1f} GB are free in {display(present)}")
