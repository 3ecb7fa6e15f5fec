"""Memory and time of one update of `InfoNCE`, in one matrix and in blocks: `python docs/results/speed/chunks.py > chunks.json`.

Each row is a process of its own (Linux), with one thread: after an update of 64 steps, which loads what there is to load, the inputs are
made, and the highest resident memory from then on, less what was resident then, is what an update took, its gradients to latents and
embeddings included. The time is processor time of a second update. Beside it stands what torch had allocated at the most, in a third; a
matrix library's own memory is not in that.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from framework.bench import machine
from framework.contrastive.pairs import blocks_of
from framework.lab.members import chosen
from framework.lab.memory import peak_bytes
from framework.lab.update import Sizes, Update

TIMES = 64
LIMIT = 16_384
ROWS = [
    *((steps, 256, LIMIT, "BilinearCritic", "InBatch") for steps in (4_096, 8_192, 16_384, 20_480)),
    *((8_192, 256, most, "BilinearCritic", "InBatch") for most in (8_191, 4_096)),
    *((8_192, 256, most, "GaussianCritic", "InBatch") for most in (LIMIT, 8_191)),
]
"""Steps, features (and as many numbers of an embedding), `InfoNCE.chunk_above`, critic, strategy."""


def resident(which: str) -> int:
    """Bytes, as the system counts them: `VmRSS` now, `VmHWM` at the most."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(which))


def update(steps: int, features: int, most: int, critic: str, strategy: str) -> Update:
    sizes = Sizes(rows=max(2, steps // TIMES), times=min(TIMES, steps // 2), features=features, embedding=features, seed=0)
    made = Update(sizes, chosen("critics", [critic], ())[0], chosen("negatives", [strategy], ())[0], torch.device("cpu"))
    made.objective.chunk_above = most
    return made


def measured(steps: int, features: int, most: int, critic: str, strategy: str) -> dict[str, Any]:
    torch.set_num_threads(1)
    update(64, features, most, critic, strategy)()
    one = update(steps, features, most, critic, strategy)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    one()
    peak, begun = resident("VmHWM") - before, time.process_time()
    one()
    seconds = time.process_time() - begun
    allocated = peak_bytes(one, torch.device("cpu"))
    return {
        "steps": steps,
        "candidates": steps,
        "features": features,
        "critic": critic,
        "strategy": strategy,
        "chunk_above": most,
        "blocks": len(blocks_of(steps, most)) if steps > most else 1,
        "peak_bytes": peak,
        "score_matrices": round(peak / (4 * steps**2), 3),
        "allocated_bytes": allocated,
        "allocated_score_matrices": round(allocated / (4 * steps**2), 3),
        "seconds": round(seconds, 2),
    }


def main() -> None:
    if len(sys.argv) > 1:
        steps, features, most, critic, strategy = sys.argv[1:]
        print(json.dumps(measured(int(steps), int(features), int(most), critic, strategy)))
        return
    rows = []
    for row in ROWS:
        said = subprocess.run([sys.executable, __file__, *map(str, row)], capture_output=True, text=True, check=True)
        rows.append(json.loads(said.stdout))
    print(json.dumps({"threads": 1, "rows": rows, "setting": machine.facts(torch.device("cpu"))}, indent=2))


if __name__ == "__main__":
    main()
