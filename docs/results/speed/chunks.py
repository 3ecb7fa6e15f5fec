"""Memory and time of one update of `InfoNCE`, in one matrix and in blocks: `python docs/results/speed/chunks.py > chunks.json`.

Each row is a process of its own (Linux), with one thread. After a small update, which loads the libraries, the inputs are made; the peak
of resident memory during the next update, less the resident memory before it, is the memory of an update, gradients to latents and
embeddings included. The time is processor time of a second update. The peak of torch's own allocations is that of a third, without the
memory of a matrix library.
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
from framework.lab.update import ObjectiveUpdate, UpdateSizes
from framework.measurement.resources import peak_bytes

TIMES = 64
LIMIT = 16_384
ROWS = [
    *((steps, 256, LIMIT, "BilinearCritic", "InBatch") for steps in (4_096, 8_192, 16_384, 20_480)),
    *((8_192, 256, most, "BilinearCritic", "InBatch") for most in (8_191, 4_096)),
    *((8_192, 256, most, "GaussianCritic", "InBatch") for most in (LIMIT, 8_191)),
]
"""Steps, features and numbers of an embedding, `InfoNCE.chunk_above`, critic, strategy."""


def resident(which: str) -> int:
    """Bytes, as the system counts them: `VmRSS` now, `VmHWM` at the peak."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(which))


def update(steps: int, features: int, most: int, critic: str, strategy: str) -> ObjectiveUpdate:
    sizes = UpdateSizes(rows=max(2, steps // TIMES), times=min(TIMES, steps // 2), features=features, embedding=features, seed=0)
    objective_update = ObjectiveUpdate(
        sizes, chosen("critics", [critic], ())[0], chosen("negatives", [strategy], ())[0], torch.device("cpu")
    )
    objective_update.objective.chunk_above = most
    return objective_update


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
        process = subprocess.run([sys.executable, __file__, *map(str, row)], capture_output=True, text=True, check=True)
        rows.append(json.loads(process.stdout))
    print(json.dumps({"threads": 1, "rows": rows, "setting": machine.facts(torch.device("cpu"))}, indent=2))


if __name__ == "__main__":
    main()
