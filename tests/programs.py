"""Processes of their own."""

import json
import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.members import ROOT


def answer(*lines: str) -> Any:
    """What a program printed, as JSON, in its last line. It has imported nothing before."""
    program = "\n".join(["import json, sys", *lines])
    ran = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def in_a_child(work: Callable[[], None]) -> int | None:
    """The exit code of a forked process, which may kill itself."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    return process.exitcode
