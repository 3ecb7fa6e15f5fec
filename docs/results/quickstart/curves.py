"""Evaluation returns of the quickstart and its baselines: from run folders to `curves.csv`, `curves.png` and a table.

python docs/results/quickstart/curves.py runs/quickstart-* ...     # adds run folders to curves.csv, then draws
python docs/results/quickstart/curves.py                           # draws what curves.csv holds
"""

import csv
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
FIELDS = ("recipe", "seed", "minutes", "step", "updates", "return", "std", "episodes")
NAMES = {"quickstart": "InfoNCE (quickstart)", "quickstart_reconstruction": "reconstruction", "quickstart_reward_only": "reward only"}
RANDOM = 114
"""The mean return of 40 episodes of uniform actions, standard deviation 55."""
COLORS = {"quickstart": "#1f6fb4", "quickstart_reconstruction": "#d9822b", "quickstart_reward_only": "#7a7a7a"}


def read(folder: Path) -> list[dict[str, str]]:
    """The evaluations of one run, each with the minutes of training that came before it."""
    resolved = (folder / "resolved.gin").read_text()
    seed = re.search(r"^Run\.seed = (\d+)", resolved, re.MULTILINE)
    recipe = re.sub(r"-\d{8}-\d{6}-.*$", "", json.loads((folder / "run.json").read_text())["name"])
    minutes, updates, rows = 0.0, 0.0, []
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        values = record.get("values", {}) if record["kind"] == "metrics" else {}
        minutes, updates = values.get("time/minutes", minutes), values.get("train/updates", updates)
        if "eval/return" in values:
            row = (recipe, seed[1] if seed else "0", f"{minutes:.2f}", record["step"], int(updates))
            row += (f"{values['eval/return']:.1f}", f"{values['eval/return_std']:.1f}", int(values["eval/episodes"]))
            rows.append(dict(zip(FIELDS, map(str, row), strict=True)))
    return rows


Run = tuple[str, str]


def run_of(row: dict[str, str]) -> Run:
    return row["recipe"], row["seed"]


def stored() -> list[dict[str, str]]:
    with (HERE / "curves.csv").open() as file:
        return list(csv.DictReader(file))


def curves() -> dict[Run, np.ndarray]:
    """Minutes, return, step and updates of every run in `curves.csv`."""
    rows_of_run = defaultdict(list)
    for row in stored():
        rows_of_run[run_of(row)].append([float(row[key]) for key in ("minutes", "return", "step", "updates", "std")])
    return {key: np.array(rows_of_run[key]) for key in sorted(rows_of_run)}


def draw(rows_of_run: dict[Run, np.ndarray]) -> None:
    """Returns over minutes, which differ with what else the machine did, and over environment steps, which do not."""
    figure, (left, right) = plt.subplots(ncols=2, figsize=(11, 4.4), sharey=True, layout="constrained")
    for (recipe, seed), rows in rows_of_run.items():
        same = [other for name, other in rows_of_run if name == recipe]
        label = NAMES[recipe] if seed == min(same) else None
        style = {"color": COLORS[recipe], "alpha": 0.9, "linewidth": 1.8, "marker": ".", "markersize": 5}
        left.plot(rows[:, 0], rows[:, 1], **style)
        right.plot(rows[:, 2] / 1000, rows[:, 1], label=label, **style)
    for axes in (left, right):
        axes.axhline(700, color="#bbbbbb", linewidth=1, linestyle="--", zorder=0)
        axes.axhline(RANDOM, color="#bbbbbb", linewidth=1, linestyle=":", zorder=0)
        axes.grid(alpha=0.25)
        axes.set_xlim(0, None)
    left.text(23.5, RANDOM - 34, "random actions", color="#8a8a8a", fontsize=8)
    left.set(xlabel="minutes of training, evaluations included", ylabel="evaluation return", ylim=(0, 850))
    right.set(xlabel="thousand environment steps")
    right.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.16))
    figure.suptitle("cartpole_swingup from 32 x 32 pixels on one CPU thread: one line a seed")
    figure.savefig(HERE / "curves.png", dpi=120)


def table(rows_of_run: dict[Run, np.ndarray]) -> str:
    lines = ["| recipe | seed | at 12 minutes | last | best | environment steps | updates |", "|---|---|---|---|---|---|---|"]
    for (recipe, seed), rows in rows_of_run.items():
        early = rows[rows[:, 0] <= 12]
        first = f"{early[-1, 1]:.0f}" if len(early) else "-"
        last, best = rows[-1], rows[rows[:, 1].argmax()]
        ended = f"{last[1]:.0f} ± {last[4]:.0f} ({last[0]:.0f} min)"
        cells = (NAMES[recipe], seed, first, ended, f"{best[1]:.0f}", f"{last[2]:,.0f}", f"{last[3]:,.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    folders = [Path(name) for name in sys.argv[1:]]
    if folders:
        new = [row for folder in folders for row in read(folder)]
        replaced = {run_of(row) for row in new}
        rows = [row for row in stored() if run_of(row) not in replaced] + new
        with (HERE / "curves.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    rows_of_run = curves()
    draw(rows_of_run)
    print(table(rows_of_run))


if __name__ == "__main__":
    main()
