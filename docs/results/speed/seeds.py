"""Updates a second of several trainings at once on one device: `python docs/results/speed/seeds.py OUT.json RECIPE --at-once 1 2 3`.

    python docs/results/speed/seeds.py seeds.json quickstart --at-once 1 2 3 -b Runtime.threads=1

Each is a process of its own, `dream bench update`; those of one row start together, and their updates a second are added.
On NVIDIA's accelerators start `nvidia-cuda-mps-control -d` before, so that the processes run at the same time and not in turns.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def row(recipe: str, bindings: list[str], at_once: int, seconds: float) -> dict[str, Any]:
    """Some processes together, until the last has ended."""
    options = [part for binding in bindings for part in ("-b", binding)]
    command = [sys.executable, "-m", "framework", "bench", "update", recipe, "--seconds", str(seconds), "--json", "-", *options]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(at_once)]
    outputs = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        sys.exit(f"{' '.join(command)} ended with {[process.returncode for process in started]}.")
    reports = [json.loads(each) for each in outputs]
    rates = [each["rows"][0]["updates_per_second"] for each in reports]
    return {"at_once": at_once, "updates_per_second": rates, "together": sum(rates), "setting": reports[0]["setting"]}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=Path)
    options.add_argument("recipe")
    options.add_argument("--at-once", type=int, nargs="+", default=[1, 2])
    options.add_argument("--seconds", type=float, default=20.0)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("-b", "--binding", action="append", default=[])
    arguments = options.parse_args()
    table: list[dict[str, Any]] = []
    for _ in range(arguments.rounds):
        for at_once in arguments.at_once:
            last = row(arguments.recipe, arguments.binding, at_once, arguments.seconds)
            table.append({"recipe": arguments.recipe, "bindings": arguments.binding} | last)
            print(at_once, f"{last['together']:.2f} updates/s", [round(rate, 2) for rate in last["updates_per_second"]], flush=True)
            arguments.out.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
