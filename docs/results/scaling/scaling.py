"""What the collectives of an update cost: predicted for up to 1,024 ranks, and measured between two ranks of this machine.

    python docs/results/scaling/scaling.py                                    the prediction
    torchrun --nproc-per-node 2 docs/results/scaling/scaling.py               the measurement, with a prediction of its own

Formulas and conclusions are in docs/scaling.md.
"""

import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import framework
from framework.agent import Agent
from framework.data import Batch
from framework.functional import ranks
from framework.training.job import joined
from framework.vector_environments.base import random_steps

RANKS = (2, 8, 16, 64, 256, 1024)
NODE, LATENCY = 8, 10e-6
NODE_BANDWIDTH, BANDWIDTH, MEMORY, FLOAT32 = 450e9, 50e9, 4.3e12, 60e12
"""Assumed: ranks of a machine, seconds of one message, bytes per second within and between machines and of a device's memory, and
operations per second of products in float32."""
PASSES = 8
"""How often a matrix of scores is read or written, forward and backward."""
UPDATE = {"12M": 7e-3, "200M": 45e-3}
"""Seconds of an update on one device: an estimate, not measured."""
ROUNDS, WARM_UP = 30, 3


@dataclass(frozen=True)
class Sizes:
    """What is sent and scored: parameters, steps of a rank's batch, numbers of an embedding."""

    parameters: int
    steps: int
    embedding: int

    def reduced(self, count: int) -> tuple[float, float]:
        """Bytes that a rank sends to average the gradients, and seconds."""
        sent = 2 * (count - 1) / count * 4 * self.parameters
        return sent, sent / bandwidth(count) + 2 * math.log2(count) * LATENCY

    def gathered(self, count: int) -> tuple[float, float]:
        """Bytes that a rank receives with the candidates and sends with their gradients, and seconds."""
        received = 2 * (count - 1) * 4 * self.steps * self.embedding
        return received, received / bandwidth(count) + 2 * math.log2(count) * LATENCY

    def scored(self, count: int) -> tuple[float, float]:
        """Bytes of one matrix of scores, and seconds of all that is done with it."""
        matrix = 4 * self.steps**2 * count
        return matrix, 6 * self.steps**2 * count * self.embedding / FLOAT32 + PASSES * matrix / MEMORY


def bandwidth(count: int) -> float:
    return NODE_BANDWIDTH if count <= NODE else BANDWIDTH


def sizes_of(size: str) -> Sizes:
    """Of Dreamer V3 with InfoNCE, 16 sequences of 64 steps on each rank."""
    run = framework.compose("dreamer_v3_infonce", {"size": size})
    specs = run.specs()
    with torch.device("meta"):
        agent: Agent = run.agent_factory(specs=specs)
        replay = run.replay(specs=specs, streams=1, device=torch.device("meta"), seed=0)
    return Sizes(sum(agent.parameter_count().values()), replay.batch * replay.length, agent.world_model.encoder.embedding_size)


def predict() -> None:
    for name, update in UPDATE.items():
        sizes = sizes_of(name)
        print(f"\n{name}: {sizes.parameters / 1e6:.1f} M parameters, embeddings of {sizes.embedding}; one update {update * 1e3:.0f} ms\n")
        print("| ranks | gradients, MB | ms | candidates, MB | ms | scores, MB | ms | all, ms | share of an update |")
        print("|---|---|---|---|---|---|---|---|---|")
        for count in RANKS:
            costs = [sizes.reduced(count), sizes.gathered(count), sizes.scored(count)]
            extra = sum(seconds for _, seconds in costs) - sizes.scored(1)[1]
            cells = " | ".join(f"{amount / 1e6:,.0f} | {seconds * 1e3:.2f}" for amount, seconds in costs)
            print(f"| {count} | {cells} | {extra * 1e3:.2f} | {extra / update:.0%} |")


@contextmanager
def counted(record: list[int]) -> Iterator[None]:
    """Within it, the bytes that each collective is given are recorded."""
    import torch.distributed as distributed

    originals: dict[str, Callable[..., Any]] = {name: getattr(distributed, name) for name in ("all_reduce", "all_gather", "reduce_scatter")}

    def counting(name: str) -> Callable[..., Any]:
        def call(first: Any, *rest: Any) -> Any:
            record.append(
                sum(each.nbytes for each in first) if isinstance(first, list) else first.nbytes * (2 if name != "all_reduce" else 1)
            )
            return originals[name](first, *rest)

        return call

    for name in originals:
        setattr(distributed, name, counting(name))
    yield
    for name, original in originals.items():
        setattr(distributed, name, original)


def measure() -> None:
    """Two ranks that update together, and that update at the same time without each other."""
    run = framework.compose("quickstart", {"Runtime.device": "cpu", "Runtime.threads": 1})
    torch.set_num_threads(1)
    specs = run.specs()
    replay = run.replay(specs=specs, streams=1, device=torch.device("cpu"), seed=0, capacity=1_000)
    random = np.random.default_rng(0)
    for number in range(100):
        replay.add(random_steps(specs, 1, number, random))
    with joined(run.runtime):
        agent, batch, calls = run.agent(specs), replay.sample(), list[int]()
        latency, per_byte = linear_cost()
        with counted(calls):
            update(agent, batch)
        together, apart = [], []
        for _ in range(WARM_UP + ROUNDS):
            ranks.totals(0)
            together.append(spent(lambda: update(agent, batch)))
            ranks.totals(0)
            with ranks.alone():
                apart.append(spent(lambda: update(agent, batch)))
        (wall, work), (own_wall, own_work) = (np.median(each[WARM_UP:], axis=0) * 1e3 for each in (together, apart))
        predicted = len(calls) * latency + sum(calls) * per_byte
        if ranks.rank() == 0:
            print(f"{len(calls)} collectives of {sum(calls) / 1e6:.2f} MB; {latency * 1e6:.0f} us each, and {per_byte * 1e9:.2f} ms per MB")
            print(
                f"together {wall:.0f} ms, {work:.0f} of processor time; at the same time, not together, {own_wall:.0f} and {own_work:.0f}"
            )
            print(f"medians of {ROUNDS} pairs; predicted overhead {predicted * 1e3:.0f} ms; load of the machine {os.getloadavg()[0]:.0f}")


def linear_cost() -> tuple[float, float]:
    """Seconds of an empty all-reduce, and of each byte in a large one; medians."""
    small, large = (torch.zeros(size) for size in (1, 1_000_000))
    times = []
    for tensor in (small, large):
        samples = []
        for _ in range(WARM_UP + ROUNDS):
            ranks.totals(0)
            samples.append(spent(lambda tensor=tensor: ranks.sum_of_all(tensor))[0])
        times.append(statistics.median(samples[WARM_UP:]))
    return times[0], max(0.0, times[1] - times[0]) / large.nbytes


def update(agent: Agent, batch: Batch) -> None:
    agent.update(batch, agent.draw_noise(batch, torch.Generator().manual_seed(0)))


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds that passed, and of this process's processor time."""
    started = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started[0], time.process_time() - started[1]


if __name__ == "__main__":
    measure() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else predict()
