"""Cost of a strategy in an update of InfoNCE, against a bare cross-entropy: `python docs/results/speed/negatives.py OUT.json [NAME ..]`.

    python docs/results/speed/negatives.py negatives.json --rows 64 --times 64 --features 1024 --rounds 5

Forward and backward, one thread. The bare path is the same scores of a BilinearCritic, `torch.nn.functional.cross_entropy`, and the
gradients, without weights and metrics. Each strategy takes turns with it, so that other work of the machine slows both; times are those
of the processor. Peaks of memory are in multiples of the scores, of which the bare path has two: the scores and their gradient.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange

from framework.bench import machine
from framework.lab.members import Member, chosen
from framework.lab.update import ObjectiveUpdate, UpdateSizes
from framework.measurement.resources import peak_bytes
from framework.negatives.base import Negatives
from framework.training.runtime import keep_freed_memory

CPU = torch.device("cpu")


def selecting(names: list[str]) -> list[Member]:
    """The strategies that add no candidates: they select from the batch, or weigh it."""
    return [each for each in chosen("negatives", names, ()) if not cast("type[Negatives]", each.cls).adds_candidates]


def bare(update: ObjectiveUpdate) -> Callable[[], None]:
    """The same gradients of a plain cross-entropy."""
    latents = update.inferred.posterior.without_past().flatten()
    labels = torch.arange(latents.stochastic.shape[0])

    def call() -> None:
        scores = update.objective.critic(latents, rearrange(update.inferred.embedding, "b t e -> (b t) e"))
        torch.autograd.grad(F.cross_entropy(scores, labels), update.leaves, allow_unused=True)

    return call


def spent(call: Callable[[], None]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def row(member: Member, sizes: UpdateSizes, rounds: int) -> dict[str, object]:
    update = ObjectiveUpdate(sizes, chosen("critics", ["BilinearCritic"], ())[0], member, CPU)
    plain = bare(update)
    plain(), update()
    times = [(spent(plain), spent(update)) for _ in range(rounds)]
    scores = 4 * (sizes.rows * sizes.times) ** 2
    ratios = sorted(own / other for other, own in times)
    return {
        "strategy": member.name,
        "bare_seconds": statistics.median(other for other, _ in times),
        "seconds": statistics.median(own for _, own in times),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "peak_scores": peak_bytes(update, CPU) / scores,
        "bare_peak_scores": peak_bytes(plain, CPU) / scores,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=Path)
    options.add_argument("names", nargs="*", default=[])
    for name, default in (("rows", 64), ("times", 64), ("features", 1024), ("rounds", 5)):
        options.add_argument(f"--{name}", type=int, default=default)
    arguments = options.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    sizes = UpdateSizes(rows=arguments.rows, times=arguments.times, features=arguments.features, embedding=arguments.features, seed=0)
    report = {"rows": arguments.rows, "times": arguments.times, "features": arguments.features, "table": [], "setting": machine.facts(CPU)}
    for member in selecting(arguments.names):
        report["table"].append(row(member, sizes, arguments.rounds))
        last = report["table"][-1]
        print(f"{last['strategy']:16s} {last['ratio']:.2f}  {last['ratios'][0]:.2f} to {last['ratios'][-1]:.2f}", flush=True)
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
