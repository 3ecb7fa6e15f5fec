"""`dream lab cost`: time and memory that critics and strategies take in an update.

An update is the objective `InfoNCE` with `InfoNCEBound`: scores, selection, loss and the metrics of every update, then the gradients to
latents, embeddings and parameters, then the strategy's own state. The encoder is not in it.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Final, cast

import torch

from framework.critics.base import Critic
from framework.errors import UserError
from framework.lab.members import Member, batch_caps, chosen
from framework.lab.settings import CostSettings
from framework.lab.update import ObjectiveUpdate, UpdateSizes
from framework.measurement.report import Progress, Report, Row, Value, silent
from framework.measurement.resources import MEBIBYTE, peak_bytes, seconds_of

BASELINE: Final = ("BilinearCritic", "InBatch")
"""The unit of ratios, and the partner of each other critic and strategy: cross-entropy within the batch."""
REPEATS: Final = 5
MOST: Final = 20
SECONDS: Final = 0.5
"""An update is timed at least `REPEATS` times and for so long, but not more than `MOST` times."""
SLOW: Final = 2.0
"""Seconds; an update that takes longer is timed once, as it warms up."""


def measure(settings: CostSettings, progress: Progress = silent) -> Report:
    """Each requested pair, or the reason why it cannot go together."""
    device, sizes, pairs = _device(settings.device), _sizes(settings), _pairs(settings)
    baseline = ObjectiveUpdate(sizes, *_baseline(), device)
    baseline()
    rows = []
    for done, (critics, strategy) in enumerate(pairs):
        progress(done, len(pairs), f"{critics[0].name} x {strategy.name}")
        rows.append(_row(sizes, critics, strategy, baseline, device))
    shown = {name: getattr(settings, name) for name in ("candidates", "features", "embedding", "seed")}
    return Report(
        command="cost",
        kind="critic",
        title=f"One update of InfoNCE, forward and backward: N = M = {settings.candidates} ({sizes.rows} x {sizes.times}), "
        f"D = {settings.features}, E = {settings.embedding}, {_device_name(device)}.",
        rows=rows,
        setting={**shown, "device": _device_name(device), "baseline": " x ".join(BASELINE)},
        conditions=("strategy",),
    )


def _sizes(settings: CostSettings) -> UpdateSizes:
    """The sequences are the most that are not more than the steps of each."""
    rows = max((size for size in range(2, math.isqrt(max(settings.candidates, 0)) + 1) if settings.candidates % size == 0), default=0)
    if rows < 2:
        raise UserError(
            f"--candidates = {settings.candidates} is no product of sequences and steps, at least 2 of each: strategies distinguish them; "
            "try 1024, which is 32 x 32."
        )
    times = settings.candidates // rows
    return UpdateSizes(rows=rows, times=times, features=settings.features, embedding=settings.embedding, seed=settings.seed)


def _pairs(settings: CostSettings) -> list[tuple[list[Member], Member]]:
    """All with all, or a cross: every critic with the plain strategy, and every strategy with the plain critic or the first that serves."""
    critics = chosen("critics", settings.critics, flag="--critic")
    strategies = chosen("negatives", settings.strategies, caps=batch_caps(settings.candidates), flag="--strategy")
    if settings.every or (settings.critics and settings.strategies):
        return [([critic], strategy) for critic in critics for strategy in strategies]
    plain_critic, plain_strategy = _baseline()
    across = [([critic], plain_strategy) for critic in critics]
    if settings.critics:
        return across
    others = [critic for critic in critics if critic.name != plain_critic.name]
    down = [([plain_critic, *others], strategy) for strategy in strategies if settings.strategies or strategy.name != plain_strategy.name]
    return down if settings.strategies else across + down


def _baseline() -> tuple[Member, Member]:
    return chosen("critics", BASELINE[:1])[0], chosen("negatives", BASELINE[1:])[0]


def _row(sizes: UpdateSizes, critics: Sequence[Member], strategy: Member, baseline: ObjectiveUpdate, device: torch.device) -> Row:
    reasons: list[str] = []
    for critic in critics:
        try:
            costs = _costs(ObjectiveUpdate(sizes, critic, strategy, device), baseline, device)
        except UserError as error:
            reasons.append(str(error))
            continue
        settings = ", ".join(f"{name} = {value}" for name, value in {**critic.settings, **strategy.settings}.items())
        cost = str(cast("type[Critic]", critic.cls).cost)
        return Row(critic.name, {"strategy": strategy.name, **costs, "cost": cost}, note=settings)
    return Row(critics[0].name, {"strategy": strategy.name}, note=f"cannot go: {reasons[0]}")


def _costs(update: ObjectiveUpdate, baseline: ObjectiveUpdate, device: torch.device) -> dict[str, Value]:
    """The first update warms up and has its memory measured. Updates take turns with the baseline, so that a busy machine slows both."""
    first: list[float] = []
    if device.type == "cuda":
        update()  # allocates the workspace of the matrix library, once
    peak = peak_bytes(lambda: first.append(seconds_of(update)), device)
    slow = first[0] > SLOW
    turns = [(first[0], statistics.median(seconds_of(baseline) for _ in range(REPEATS)))] if slow else []
    while not slow and (len(turns) < REPEATS or (sum(own for own, _ in turns) < SECONDS and len(turns) < MOST)):
        turns.append((seconds_of(update), seconds_of(baseline)))
    seconds, ratio = statistics.median(own for own, _ in turns), statistics.median(own / unit for own, unit in turns)
    return {"milliseconds": 1e3 * seconds, "ratio": ratio, "MiB": peak / MEBIBYTE}


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no CUDA device here; take --device cpu, or auto for what there is.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU with {threads} thread{'s' if threads > 1 else ''}"
