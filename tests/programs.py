"""A question to a Python of its own, which has imported nothing yet."""

import json
import subprocess
import sys
from typing import Any

from tests.members import ROOT


def answer(*lines: str) -> Any:
    """What a program printed, as JSON, in its last line."""
    program = "\n".join(["import json, sys", *lines])
    ran = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])
