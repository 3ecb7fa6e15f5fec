"""A page of the documentation, followed word for word: its files are written and its commands are run, in order, in an empty folder.

A block of Python, gin or toml begins with the name of its file, `# my_critic.py`. Each line of a bash block is a command. A text block has
lines that the command before it prints; numbers may differ. A command is a process of its own, forked from one that has imported torch.
"""

import multiprocessing
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.members import ROOT

GUIDES = ROOT / "docs" / "guides"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# ([\w./]+)\n")
NUMBER = re.compile(r"[-+]?\d[\d.,:]*(e[-+]?\d+)?")
LIMIT = 300
"""Seconds for one command, on a machine that does much else."""
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["framework.cli", "framework.lab", "framework.training.api", "mlflow", "pytest", "torch._dynamo"])


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    text: str

    @property
    def file(self) -> str:
        """The name of the file that it is."""
        named = NAMED.match(self.text)
        assert named, f"this block begins with the name of no file:\n{self.text}"
        return named[1]

    @property
    def commands(self) -> list[str]:
        return self.text.replace("\\\n", "").splitlines()


def blocks(page: Path) -> list[Block]:
    return [Block(*match) for match in BLOCK.findall(page.read_text(encoding="utf-8")) if match[0] != "math"]


def pages() -> Iterator[Path]:
    """The pages that have commands to run."""
    return (page for page in sorted(GUIDES.rglob("*.md")) if any(block.language == "bash" for block in blocks(page)))


def follow(page: Path, folder: Path, *, without: tuple[str, ...] = (), short: Sequence[str] = ()) -> None:
    """Write every file and run every command but those that begin `without`; `short` are bindings that make a training small."""
    folder.mkdir(exist_ok=True)
    printed: str | None = None
    for block in blocks(page):
        if block.language == "bash":
            for command in block.commands:
                if command.startswith(without):
                    printed = None
                    continue
                status, printed = run(command, folder, short)
                assert status == 0, f"{command}\n{printed}"
        elif block.language == "text":
            if printed is None:
                continue
            missing = [line for line in _lines(block.text) if line not in _lines(printed) and line != "..."]
            assert not missing, f"{missing} is not in\n{printed}"
        else:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text, encoding="utf-8")


def run(command: str, folder: Path, short: Sequence[str] = ()) -> tuple[int | None, str]:
    """The exit status of a command, and all that it prints."""
    words = shlex.split(command, comments=True)
    if words[:2] == ["dream", "train"]:
        words += [part for binding in short for part in ("-b", binding)]
    log = folder.parent / f"{folder.name}.log"
    process = FORKED.Process(target=_call, args=(words, folder, log))
    process.start()
    process.join(LIMIT)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode, log.read_text(encoding="utf-8")


def _call(words: list[str], folder: Path, log: Path) -> None:
    """What a shell does with the words of one command, with standard output and error in a file."""
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(folder)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    sys.path.append(str(folder / "installed"))
    sys.argv = words
    match words[0]:
        case "dream":
            from framework.cli import main

            main()
        case "pytest":
            sys.exit(pytest.main([*words[1:], "-p", "no:cacheprovider"]))
        case "python":
            sys.path.insert(0, str(folder))
            runpy.run_path(words[1], run_name="__main__")
        case "pip":
            sys.exit(_install(words))
        case _:
            raise ValueError(f"a page has no command '{words[0]}'")


def _install(words: list[str]) -> int:
    """`pip install .` without a network, into a folder of the page's own."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", "installed"]
    assert words == ["pip", "install", "."]
    return subprocess.call([sys.executable, "-m", "pip", "install", *options, "."])


def _lines(text: str) -> list[str]:
    """Lines without their numbers and spaces."""
    return ["".join(NUMBER.sub("#", line).split()) for line in text.splitlines() if line.strip()]
