"""What a strategy costs an update of InfoNCE beside a bare cross-entropy: `python docs/results/speed/negatives.py OUT.json [NAME ..]`.

    python docs/results/speed/negatives.py negatives.json --rows 64 --times 64 --features 1024 --rounds 5

Forward and backward, one thread. The bare path is the same scores of a BilinearCritic, `torch.nn.functional.cross_entropy`, and the
gradients: no weights, no meters. Each strategy takes turns with it, so that whatever else the machine does meets both; times are those
of the processor. Peaks of memory are in multiples of the scores, of which the bare path has two: the scores, and their gradient.
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
from framework.lab.memory import peak_bytes
from framework.lab.update import Sizes, Update
from framework.negatives.base import Negatives
from framework.training.malloc import keep_freed_memory

CPU = torch.device("cpu")


def selecting(names: list[str]) -> list[Member]:
    """The strategies that add no candidates: those that select among the batch, and those that weigh it."""
    return [each for each in chosen("negatives", names, ()) if not cast("type[Negatives]", each.cls).adds_candidates]


def bare(update: Update) -> Callable[[], None]:
    """The same gradients of a plain cross-entropy."""
    latents = update.seen.posterior.without_past().flatten()
    labels = torch.arange(latents.stochastic.shape[0])

    def call() -> None:
        scores = update.objective.critic(latents, rearrange(update.seen.embedding, "b t e -> (b t) e"))
        torch.autograd.grad(F.cross_entropy(scores, labels), update.leaves, allow_unused=True)

    return call


def spent(call: Callable[[], None]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def row(member: Member, sizes: Sizes, rounds: int) -> dict[str, object]:
    update = Update(sizes, chosen("critics", ["BilinearCritic"], ())[0], member, CPU)
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
    given = options.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    sizes = Sizes(rows=given.rows, times=given.times, features=given.features, embedding=given.features, seed=0)
    found = {"rows": given.rows, "times": given.times, "features": given.features, "table": [], "setting": machine.facts(CPU)}
    for member in selecting(given.names):
        found["table"].append(row(member, sizes, given.rounds))
        last = found["table"][-1]
        print(f"{last['strategy']:16s} {last['ratio']:.2f}  {last['ratios'][0]:.2f} to {last['ratios'][-1]:.2f}", flush=True)
        given.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
