"""The table of faults: each is injected into small runs again and again, and what was lost is counted.

python docs/results/reliability/faults.py            # 20 to 30 minutes on two cores
python docs/results/reliability/faults.py --quick    # a few tries of each
python docs/results/reliability/faults.py killed     # the kinds whose names have a word; the others keep their counts

Writes `faults.json`, and the table in `README.md`.
"""

import argparse
import json
import logging
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", MLFLOW_DISABLE_TELEMETRY="true", TQDM_DISABLE="1")
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="faults-data-")  # these runs are not entered as the user's own
os.environ.pop("MLFLOW_TRACKING_URI", None)

import faults_in_tracking as tracking  # noqa: E402
import faults_in_training as training  # noqa: E402
import torch  # noqa: E402
from fault_lab import Lab, Try  # noqa: E402

QUICK = 2
FAULTS: dict[str, tuple[int, Callable[[Lab], Try]]] = {
    "killed (SIGKILL) at a random moment, serial": (20, partial(training.killed, mode="serial")),
    "killed, environments in workers": (12, partial(training.killed, mode="workers")),
    "killed, overlapped schedule": (12, partial(training.killed, mode="overlapped")),
    "killed, and its resumes too, three times": (8, partial(training.killed, mode="serial", kills=3)),
    "killed between two changes of its files, most of them of checkpoints": (20, training.killed_in_a_checkpoint),
    "SIGTERM at a random moment": (6, partial(training.signaled, number=signal.SIGTERM)),
    "SIGHUP": (6, partial(training.signaled, number=signal.SIGHUP)),
    "SIGINT (Ctrl-C)": (6, partial(training.signaled, number=signal.SIGINT)),
    "a bit flips in a file of replayed steps": (200, partial(training.flipped, kind="replay")),
    "a bit flips in another file of a checkpoint": (200, partial(training.flipped, kind="other")),
    "damaged run.json, metrics.jsonl, manifests, recipes, pictures (20 a try)": (50, partial(tracking.mutated, kind="files")),
    "mutated recipes and bindings (20 a try)": (50, partial(tracking.mutated, kind="recipes")),
    "two resumes at once": (8, training.resumed_twice),
    "folder moved": (5, partial(tracking.placed, how="moved")),
    "folder copied": (5, partial(tracking.placed, how="copied")),
    "odd characters in the folder's name": (10, partial(tracking.placed, how="odd name")),
    **{
        f"environment, {mode}: {how}": (3, partial(training.failed, how=how, mode=mode))
        for mode in ("serial", "workers")
        for how in training.ERRORS
        if (how, mode) != ("exit", "serial")
    },
    "tracking server killed and started again": (6, partial(tracking.disturbed, how="killed")),
    "tracking server stopped": (6, partial(tracking.disturbed, how="stopped")),
    "the server's database locked": (6, partial(tracking.disturbed, how="locked")),
    "server killed, then the run": (6, tracking.killed_in_an_outage),
    "a pickle with code in a checkpoint or a policy": (20, tracking.planted),
    "a policy that names a module outside of its folder": (16, tracking.module_outside),
    "a digit changes in metrics.jsonl": (20, tracking.digit_changed),
}


def tried(lab: Lab, name: str, tries: int, seed: int) -> dict[str, Any]:
    """The counts of one fault."""
    fault, started, outcomes = FAULTS[name][1], time.monotonic(), []
    lab.random.seed(seed)
    for _ in range(tries):
        try:
            outcomes.append(fault(lab))
        except Exception as error:  # a try that breaks is a fault that was not survived
            outcomes.append(Try(wrong=f"{type(error).__name__}: {error}"))
    wrong = Counter(each.wrong for each in outcomes if each.wrong)
    remarks = Counter(each.remark for each in outcomes if each.remark)
    return {
        "tries": tries,
        "steps lost": sum(each.steps for each in outcomes),
        "points lost": sum(each.points for each in outcomes),
        "wrong": sum(wrong.values()),
        "what": [f"{count} x {text}" for text, count in wrong.most_common(5)],
        "remarks": [f"{count} x {text}" for text, count in remarks.most_common(5)],
        "seed": seed,
        "seconds": round(time.monotonic() - started),
        "commit": _git("rev-parse", "--short", "HEAD"),
    }


def table(counts: dict[str, dict[str, Any]]) -> str:
    lines = ["| fault | tries | steps lost | points lost | wrong | |", "|---|---|---|---|---|---|"]
    for name in FAULTS:
        if name in counts:
            row = counts[name]
            bad = row["steps lost"] or row["points lost"] or row["wrong"]
            cells = (name, row["tries"], row["steps lost"], row["points lost"], row["wrong"], "; ".join(row["what"]) if bad else "survived")
            lines.append("| " + " | ".join(str(cell).replace("|", "/").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(HERE), *arguments], capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only the faults whose names have one of these words")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tries", type=float, default=1.0, help="the share of the tries that is made")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    path, readme = HERE / "faults.json", HERE / "README.md"
    record = json.loads(path.read_text()) if path.exists() else {"faults": {}}
    record["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        lab = Lab(Path(folder))
        for name, (full, _) in FAULTS.items():
            if arguments.words and not any(word in name for word in arguments.words):
                continue
            tries = min(full, QUICK) if arguments.quick else max(1, round(full * arguments.tries))
            record["faults"][name] = tried(lab, name, tries, arguments.seed)
            print(name, json.dumps(record["faults"][name]), flush=True)
            path.write_text(json.dumps(record, indent=1) + "\n")
            before, _, rest = readme.read_text().partition("<!-- faults -->\n")
            after = rest.partition("<!-- end -->")[2]
            readme.write_text(f"{before}<!-- faults -->\n{table(record['faults'])}\n<!-- end -->{after}")
        tracking.stop_server(lab)


if __name__ == "__main__":
    main()
