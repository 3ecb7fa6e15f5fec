"""An update by CPU threads, alone and beside others: `python docs/results/speed/threads.py threads.json quickstart --at-once 1 2`.

Each process is `dream bench update`, and all of one row begin together. `spinning` is OpenMP's own default, in which a thread that waits
keeps its core busy; `waiting` is `GOMP_SPINCOUNT=0`, which the command `dream` sets. Times are medians of an update in milliseconds.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SPINNING, WAITING = {"GOMP_SPINCOUNT": "300000"}, {"GOMP_SPINCOUNT": "0"}
WAYS: dict[str, tuple[dict[str, str], list[str]]] = {
    "spinning, two threads": (SPINNING, ["Runtime.threads=2"]),
    "waiting, two threads": (WAITING, ["Runtime.threads=2"]),
    "one thread": (WAITING, ["Runtime.threads=1"]),
    "default": ({}, []),
}


def row(recipe: str, bindings: list[str], way: str, at_once: int, seconds: float) -> dict[str, Any]:
    """Some processes together, until the last has ended."""
    variables, settings = WAYS[way]
    options = [part for binding in [*settings, *bindings] for part in ("-b", binding)]
    command = [sys.executable, "-m", "framework", "bench", "update", recipe, "--seconds", str(seconds), "--repeats", "1", "--json", "-"]
    inherited = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")}
    processes = [
        subprocess.Popen([*command, *options], env=inherited | variables, stdout=subprocess.PIPE, text=True) for _ in range(at_once)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit(f"{' '.join(command)} ended with {[process.returncode for process in processes]}.")
    reports = [json.loads(output) for output in outputs]
    return {
        "recipe": recipe,
        "bindings": bindings,
        "way": way,
        "at_once": at_once,
        "median_ms": [report["rows"][0]["median_ms"] for report in reports],
        "load": os.getloadavg()[0],
        "setting": reports[0]["setting"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("recipe")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("-b", "--binding", action="append", default=[])
    arguments = parser.parse_args()
    table: list[dict[str, Any]] = []
    for way in WAYS:
        for at_once in arguments.at_once:
            table.append(row(arguments.recipe, arguments.binding, way, at_once, arguments.seconds))
            print(f"{way}, {at_once} at once: {[round(each) for each in table[-1]['median_ms']]} ms", flush=True)
            arguments.out.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
