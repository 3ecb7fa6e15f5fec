"""The record of a soak, and what is asked of it: nothing lost, nothing twice, memory, descriptors and processes flat."""

import csv
import json
import os
import platform
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

FIELDS = ("time", "life", "rss", "pss", "descriptors", "processes", "threads")
WARM_UP_SECONDS = 300.0
"""Until the replay is full, and evaluations, pictures and checkpoints have been made."""
LEAST_SECONDS = 600.0
"""Lives that are shorter after the warm-up are not judged."""
MEMORY_GROWTH = 0.02
ENVIRONMENT_FAULTS = ("raise", "worker killed", "hang", "nan", "shape")


@dataclass(frozen=True)
class Fault:
    """What was done to a life of the trainer, and what came of it."""

    time: float
    life: int
    kind: str
    detail: str = ""
    outcome: dict[str, float | None] = field(default_factory=dict)


def faults(folder: Path) -> list[Fault]:
    path = folder / "faults.jsonl"
    return [Fault(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def add(folder: Path, fault: Fault) -> None:
    with (folder / "faults.jsonl").open("a") as file:
        file.write(json.dumps(asdict(fault)) + "\n")


def run_folder(folder: Path) -> Path | None:
    """The run of a soak, once there is one that can be resumed."""
    return next((path.parent for path in sorted((folder / "runs").glob("*/run.json"))), None)


def samples(folder: Path) -> np.ndarray:
    """`[samples, FIELDS]`"""
    with (folder / "record.csv").open() as file:
        return np.array([[float(row[name]) for name in FIELDS] for row in csv.DictReader(file)])


def mirrored(run: Path) -> Counter[tuple[str, int]]:
    """How often the mirror has each metric at each step."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return Counter((name, record["step"]) for record in records if record["kind"] == "metrics" for name in record["values"])


def stored(client: Any, run_id: str) -> Iterator[tuple[str, int]]:
    """Every point of a run in the server, but of the machine's own metrics, which the mirror does not have."""
    for name in client.get_run(run_id).data.metrics:
        if not name.startswith("system/"):
            yield from ((name, point.step) for point in client.get_metric_history(run_id, name))


def delivery(folder: Path, uri: str) -> dict[str, Any]:
    """The points of the mirror against those of the server, and the steps that were logged."""
    from mlflow import MlflowClient

    run = run_folder(folder)
    assert run is not None
    run_id, client = json.loads((run / "run.json").read_text())["run_ids"][uri], MlflowClient(uri)
    mirror, server = mirrored(run), Counter(stored(client, run_id))
    every = int(re.search(r"^Run\.log_every = (\d+)", (run / "resolved.gin").read_text(), re.MULTILINE)[1])
    logged = Counter(step // every for name, step in mirror if name == "train/updates")
    errors = [json.loads(line)["values"] for line in (run / "metrics.jsonl").read_text().splitlines() if "train/environment_errors" in line]
    pictures = len(list((run / "pictures").glob("*.png")))
    images = {item.path.split("+step+")[0] + item.path.split("+")[2] for item in client.list_artifacts(run_id, "images")}
    return {
        "runs in the server": sum(1 for _ in client.search_runs([str(e.experiment_id) for e in client.search_experiments()])),
        "status": client.get_run(run_id).info.status,
        "steps": max(step for _, step in mirror),
        "points in the mirror": sum(mirror.values()),
        "points in the server": sum(server.values()),
        "points lost": len(mirror.keys() - server.keys()),
        "points in the server alone": len(server.keys() - mirror.keys()),
        "points twice in the mirror": sum(mirror.values()) - len(mirror),
        "points twice in the server": sum(server.values()) - len(server),
        "intervals that were logged": len(logged),
        "intervals without a line": max(logged) - len(logged),
        "intervals with two lines": sum(count > 1 for count in logged.values()),
        "environment errors that were counted": errors[-1]["train/environment_errors"] if errors else 0,
        "pictures in the mirror": pictures,
        "pictures in the server": len(images),
    }


def life_verdict(rows: np.ndarray) -> dict[str, Any]:
    """The medians of the first and the last quarter of a life after the warm-up, and whether they stay."""
    rows = rows[rows[:, 0] >= rows[0, 0] + WARM_UP_SECONDS]
    if not len(rows) or rows[-1, 0] - rows[0, 0] < LEAST_SECONDS:
        return {"judged": False}
    quarter = len(rows) // 4
    early, late = np.median(rows[:quarter], axis=0), np.median(rows[-quarter:], axis=0)
    values: dict[str, Any] = {"judged": True, "minutes": round((rows[-1, 0] - rows[0, 0]) / 60, 1)}
    for index, name in enumerate(FIELDS[2:], start=2):
        values[name] = [int(early[index]), int(late[index])]
    growth = {name: late[FIELDS.index(name)] / early[FIELDS.index(name)] - 1 for name in ("rss", "pss")}
    values |= {f"{name} growth": round(share, 4) for name, share in growth.items()}
    values["memory flat"] = bool(max(growth.values()) <= MEMORY_GROWTH)
    values["descriptors flat"] = bool(late[4] <= early[4])
    values["processes flat"] = bool(late[5] <= early[5] and late[6] <= early[6])
    return values


def summarize(folder: Path, delivered: dict[str, Any], target: Path) -> None:
    """Write `soak.json`, `soak.png` and the table in `README.md`."""
    rows, done = samples(folder), faults(folder)
    gaps = np.diff(rows[:, 0])
    lives = {int(life): life_verdict(rows[rows[:, 1] == life]) for life in np.unique(rows[:, 1])}
    ends = [fault for fault in done if "seconds" in fault.outcome]
    summary = {
        "commit": (folder / "commit").read_text().strip(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        "minutes": round(float(gaps[gaps < 60].sum()) / 60, 1),
        "faults": dict(Counter(fault.kind for fault in done)),
        "environment faults": sum(fault.kind in ENVIRONMENT_FAULTS and fault.detail != "not taken" for fault in done),
        **delivered,
        "ends": [{"kind": fault.kind, **fault.outcome} for fault in ends],
        "lives": lives,
    }
    (target / "soak.json").write_text(json.dumps(summary, indent=1) + "\n")
    draw(rows, done, target / "soak.png")
    before, _, rest = (target / "README.md").read_text().partition("<!-- soak -->\n")
    (target / "README.md").write_text(
        f"{before}<!-- soak -->\n{table(summary)}\n<!-- end of soak -->{rest.partition('<!-- end of soak -->')[2]}"
    )
    print(json.dumps(summary, indent=1))


def table(summary: dict[str, Any]) -> str:
    """What a reader asks first, as Markdown."""
    points, lives = summary["as the run left it"], summary["lives"].values()
    judged = [life for life in lives if life["judged"]]
    ends = ", ".join(f"{end['kind']} {end['seconds']:.0f} s" for end in summary["ends"])
    facts = {
        "commit": summary["commit"][:7],
        "machine": summary["machine"],
        "minutes, lives of the trainer, faults": f"{summary['minutes']:.0f}, {len(lives)}, {sum(summary['faults'].values())}",
        "environment steps": points["steps"],
        "points in the mirror, in the server": f"{points['points in the mirror']}, {points['points in the server']}",
        "points lost, twice in the server, twice in the mirror": ", ".join(
            str(points[name]) for name in ("points lost", "points twice in the server", "points twice in the mirror")
        ),
        "log intervals without a line, with two": f"{points['intervals without a line']}, {points['intervals with two lines']}",
        "faults of environments, and errors that were counted": (
            f"{summary['environment faults']}, {points['environment errors that were counted']:.0f}"
        ),
        "seconds until the trainer had ended": ends,
        "orphans": sum(end["orphans"] for end in summary["ends"]),
        "status at the end": points["status"],
        "memory of the trainer, first to last quarter of a life after its warm-up": "; ".join(
            f"{life['rss'][0] / 2**20:.0f} to {life['rss'][1] / 2**20:.0f} MiB ({life['rss growth']:+.1%})" for life in judged
        ),
        "the same with its workers": "; ".join(f"{life['pss growth']:+.1%}" for life in judged),
        "descriptors, processes, threads": "; ".join(
            ", ".join(f"{life[name][0]} to {life[name][1]}" for name in ("descriptors", "processes", "threads")) for life in judged
        ),
    }
    return "\n".join(["| what | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())])


def draw(rows: np.ndarray, done: list[Fault], path: Path) -> None:
    """Memory and descriptors against minutes, with the faults."""
    start = rows[0, 0]
    figure, axes = plt.subplots(nrows=3, figsize=(11, 7), sharex=True, layout="constrained")
    panels = (
        (axes[0], ((2, "trainer (resident)", 2**20), (3, "trainer and workers (proportional)", 2**20)), "memory in MiB"),
        (axes[1], ((4, "descriptors", 1), (6, "threads", 1)), "count"),
        (axes[2], ((5, "processes", 1),), "count"),
    )
    for panel, lines, label in panels:
        for column, name, unit in lines:
            for life in np.unique(rows[:, 1]):
                life_rows = rows[rows[:, 1] == life]
                color = f"C{column % 4}"
                panel.plot(
                    (life_rows[:, 0] - start) / 60, life_rows[:, column] / unit, color=color, label=name if life == rows[0, 1] else None
                )
        for fault in done:
            ended = "seconds" in fault.outcome
            panel.axvline((fault.time - start) / 60, color="#b03030" if ended else "#cccccc", linewidth=1.0 if ended else 0.5, zorder=0)
        panel.set(ylabel=label, ylim=(0, None))
        panel.legend(frameon=False, loc="lower right", ncols=2, fontsize=8)
    axes[2].set(xlabel="minutes; gray: a fault, red: the trainer was ended and resumed")
    figure.savefig(path, dpi=110)
    plt.close(figure)
