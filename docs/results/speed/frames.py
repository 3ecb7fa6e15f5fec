"""Frames a second of two workers, on cores of their own or wherever the system puts them: `python docs/results/speed/frames.py OUT.json`.

walker_walk at 64 x 64, action repeat 2, random actions; both ways take turns, since the machine's speed swings. The mean over all steps of
a turn, not the median step: a step that waits for two workers on one core is what is to be seen. Needs as many cores as workers.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from framework.bench import machine
from framework.environments.dm_control import DMControl
from framework.vector_environments import worker_environments as vector

WORKERS = 2
OWN = vector.cores


def anywhere(count: int) -> list[int | None]:
    return [None] * count


def frames_a_second(quality: str, seconds: float) -> float:
    factory = partial(DMControl, task="walker_walk", size=64, action_repeat=2, quality=quality)
    random, steps = np.random.default_rng(0), 0
    with vector.WorkerEnvironments(environment=factory, count=WORKERS, seed=0) as environments:
        environments.reset()
        for _ in range(20):
            environments.step(environments.random_actions(random))
        begun = time.perf_counter()
        while (spent := time.perf_counter() - begun) < seconds:
            environments.step(environments.random_actions(random))
            steps += 1
    return WORKERS * steps / spent


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4.0)
    arguments = options.parse_args()
    assert OWN(WORKERS) != anywhere(WORKERS), "two workers have no cores of their own here"
    frames: dict[str, dict[str, list[float]]] = {}
    for quality in ("fast", "near", "exact"):
        frames[quality] = {"own": [], "anywhere": []}
        for _ in range(arguments.rounds):
            for way, cores in (("own", OWN), ("anywhere", anywhere)):
                vector.cores = cores
                frames[quality][way].append(round(frames_a_second(quality, arguments.seconds), 1))
        print(quality, frames[quality], flush=True)
    facts = machine.facts(torch.device("cpu"))
    arguments.out.write_text(json.dumps({"frames_per_second": frames, "seconds": arguments.seconds, "setting": facts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
