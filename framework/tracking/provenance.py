"""The origin of a run: the commit, uncommitted changes, versions, the command."""

import getpass
import hashlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import framework

PACKAGES: Final = ("torch", "gin-config", "dm_control", "mujoco", "numpy", "mlflow")
ACTING: Final = ("dm-env", "einops", "filelock", "gin-config", "jaxtyping", "numpy", "pillow", "rich", "torch")
"""What acting imports; simulators are not among them."""
NO_PACKAGE: Final = "not installed"


def versions() -> dict[str, str]:
    """The installed version of each package that affects a run."""
    installed = {"dream-framework": framework.__version__}
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = NO_PACKAGE
    return installed


def requirements(distributions: Iterable[str]) -> list[str]:
    """What a policy needs to be loaded and to act elsewhere, pinned to the installed versions; `distributions` are the user's own."""
    pinned = [f"{name}=={version(name)}" for name in sorted({*ACTING, *distributions})]
    return [f"dream-framework=={framework.__version__}", *pinned]


def facts(folder: Path) -> dict[str, str]:
    """The tags of a run that is started in this folder."""
    tags = {f"version.{name}": number for name, number in versions().items()}
    tags |= {"version.python": platform.python_version(), "command": command(), "host": platform.node()}
    # MLflow finds the commit itself for `python file.py`, but not for an installed command.
    tags |= {"mlflow.source.name": Path(sys.argv[0]).name, "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    commit = _git(folder, "rev-parse", "HEAD").strip()
    if commit:
        tags |= {"mlflow.source.git.commit": commit, "git.commit": commit}
        tags["git.changed"] = str(bool(_git(folder, "status", "--porcelain").strip())).lower()
        tags["git.diff.sha256"] = hashlib.sha256(difference(folder).encode()).hexdigest()
    return tags


def command() -> str:
    """The command line of this process, with `python -m framework` in place of a path on this machine."""
    as_module = Path(sys.argv[0]) == Path(framework.__file__).with_name("__main__.py")
    program = ["python", "-m", framework.__name__] if as_module else sys.argv[:1]
    return shlex.join([*program, *sys.argv[1:]])


def difference(folder: Path) -> str:
    """The difference of the working tree to its commit, empty for a clean checkout; untracked files are listed by name."""
    untracked = _git(folder, "ls-files", "--others", "--exclude-standard").splitlines()
    return _git(folder, "diff", "HEAD") + "".join(f"# not in git: {name}\n" for name in untracked)


def _git(folder: Path, *arguments: str) -> str:
    """The output of git; empty without git, a repository or a commit."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return "unknown"
