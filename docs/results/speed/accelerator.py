"""The table of an accelerator in one call, for a machine that is lent for minutes: `python docs/results/speed/accelerator.py OUT.json`.

First whether a captured update equals the plain one, then the time of an update, the most wanted rows first, until the minutes are used
up. With `--peer CHECKOUT` an update of r2dreamer, in its own compiled mode and precision, takes turns with ours, after the graphs
(`peer.py`, and what that needs). Written without an accelerator at hand, and never run on one.
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
WAYS = {"graph": [CAPTURE], "eager": [], "graph + steps": [CAPTURE, STEPS], "steps": [STEPS]}


def run(arguments: list[str], seconds: float) -> tuple[str, str | None]:
    """What a program of ours said, and what went wrong."""
    try:
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return "", f"not done after {seconds:.0f} s"
    return done.stdout, None if done.returncode == 0 else (done.stderr or done.stdout)[-2000:]


def measured(name: str, way: str, seconds: float) -> dict[str, Any]:
    """One row: `dream bench update`."""
    recipe, own = RECIPES[name]
    bindings = [part for binding in [*ALWAYS, *own, *WAYS[way]] for part in ("-b", binding)]
    begun = time.monotonic()
    said, failed = run(["-m", "framework", "bench", "update", recipe, "--seconds", "3", "--roofline", "--json", "-", *bindings], seconds)
    head = {"recipe": name, "way": way, "bindings": bindings[1::2], "wall_seconds": time.monotonic() - begun}
    if failed is not None:
        return head | {"failed": failed}
    found = json.loads(said)
    return head | found["rows"][0] | {"setting": found["setting"]}


def beside(checkout: Path, size: str, seconds: float) -> dict[str, Any]:
    """Ours as a graph, and the peer's own compiled mode, in turns."""
    bindings = [part for binding in (*ALWAYS[2:], CAPTURE) for part in ("--binding", binding)]
    given = [str(checkout), "--size", size, "--device", "cuda", "--precision", "bfloat16", "--rounds", "30", *bindings]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "peer.json"
        said, failed = run([str(Path(__file__).with_name("peer.py")), given[0], str(out), *given[1:]], seconds)
        return {"size": size, **({"failed": failed} if failed else json.loads(out.read_text())), "said": said[-500:]}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path)
    options.add_argument("--minutes", type=float, default=8.0)
    options.add_argument("--peer", type=Path, help="a checkout of NM512/r2dreamer")
    given = options.parse_args()
    end = time.monotonic() + 60 * given.minutes
    said, failed = run(CORRECT, 60 * given.minutes / 2)
    found: dict[str, Any] = {"correct": {"said": said[-2000:], "failed": failed}, "rows": [], "peer": []}
    for number, way in enumerate(WAYS):
        for size in ("12M", "50M") if given.peer and number == 1 else ():  # after the graphs, before what is less wanted
            if time.monotonic() < end:
                found["peer"].append(beside(given.peer, size, end - time.monotonic()))
        for name in RECIPES:
            if time.monotonic() < end:
                found["rows"].append(measured(name, way, end - time.monotonic()))
            given.out.write_text(json.dumps(found, indent=2))  # after every row: the machine may be gone before the next


if __name__ == "__main__":
    main()
