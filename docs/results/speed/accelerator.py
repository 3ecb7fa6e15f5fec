"""The table of an accelerator in one call, for a machine that is lent for minutes: `python docs/results/speed/accelerator.py OUT.json`.

First the equality of a captured and a plain update, then the time of an update, the most important rows first, until the minutes are
used up. With `--peer CHECKOUT` an update of r2dreamer, in its own compiled mode and precision, takes turns with ours after the graphs
(`peer.py`, with its requirements). Written without an accelerator at hand, and never run on one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CORRECT = ["-m", "pytest", "tests/compile/test_accelerator.py", "--jaxtyping-packages=", "-q"]
ALWAYS = ["Runtime.device='cuda'", "Runtime.precision='bfloat16'", "Replay.storage='device'"]
RECIPES: dict[str, tuple[str, list[str]]] = {
    "dreamer_v3_infonce 12M": ("dreamer_v3_infonce", ["size='12M'"]),
    "dreamer_v1_infonce": ("dreamer_v1_infonce", []),
    "dreamer_v1": ("dreamer_v1", []),
    "dreamer_v3_infonce 50M": ("dreamer_v3_infonce", ["size='50M'"]),
}
CAPTURE, STEPS = "Runtime.capture='update'", "Runtime.compile='steps'"
MODES = {"graph": [CAPTURE], "eager": [], "graph + steps": [CAPTURE, STEPS], "steps": [STEPS]}


def run(arguments: list[str], seconds: float) -> tuple[str, str | None]:
    """The output of a Python program, and its error, if any."""
    try:
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return "", f"not done after {seconds:.0f} s"
    return done.stdout, None if done.returncode == 0 else (done.stderr or done.stdout)[-2000:]


def measured(name: str, mode: str, seconds: float) -> dict[str, Any]:
    """One row: `dream bench update`."""
    recipe, own = RECIPES[name]
    bindings = [part for binding in [*ALWAYS, *own, *MODES[mode]] for part in ("-b", binding)]
    begun = time.monotonic()
    output, error = run(["-m", "framework", "bench", "update", recipe, "--seconds", "3", "--roofline", "--json", "-", *bindings], seconds)
    head = {"recipe": name, "mode": mode, "bindings": bindings[1::2], "wall_seconds": time.monotonic() - begun}
    if error is not None:
        return head | {"failed": error}
    report = json.loads(output)
    return head | report["rows"][0] | {"setting": report["setting"]}


def compared(checkout: Path, size: str, seconds: float) -> dict[str, Any]:
    """Ours as a graph, and the peer's own compiled mode, in turns."""
    bindings = [part for binding in (*ALWAYS[2:], CAPTURE) for part in ("--binding", binding)]
    arguments = [str(checkout), "--size", size, "--device", "cuda", "--precision", "bfloat16", "--rounds", "30", *bindings]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "peer.json"
        output, error = run([str(Path(__file__).with_name("peer.py")), arguments[0], str(out), *arguments[1:]], seconds)
        return {"size": size, **({"failed": error} if error else json.loads(out.read_text())), "output": output[-500:]}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path)
    options.add_argument("--minutes", type=float, default=8.0)
    options.add_argument("--peer", type=Path, help="a checkout of NM512/r2dreamer")
    arguments = options.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    output, error = run(CORRECT, 60 * arguments.minutes / 2)
    table: dict[str, Any] = {"correct": {"output": output[-2000:], "failed": error}, "rows": [], "peer": []}
    for number, mode in enumerate(MODES):
        for size in ("12M", "50M") if arguments.peer and number == 1 else ():  # after the graphs, before less important rows
            if time.monotonic() < end:
                table["peer"].append(compared(arguments.peer, size, end - time.monotonic()))
        for name in RECIPES:
            if time.monotonic() < end:
                table["rows"].append(measured(name, mode, end - time.monotonic()))
            arguments.out.write_text(json.dumps(table, indent=2))  # after every row: the machine may be gone before the next


if __name__ == "__main__":
    main()
