"""`dream lab cost`: what critics and strategies cost an update, in time and memory.

What is measured is the shipped objective `InfoNCE` with `InfoNCEBound`: scores, selection, loss and the meters that every update logs,
then the gradients to latents, embeddings and parameters, then what the strategy takes in for the next update. Not the encoder.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast, final

import torch

from framework.critics.base import Critic
from framework.errors import UserError
from framework.lab.members import Member, chosen
from framework.lab.memory import peak_bytes
from framework.lab.report import Number, Progress, Report, Row, silent
from framework.lab.update import GROUP, Sizes, Update
from framework.registry import advice, registry_of

BASELINE: Final = ("BilinearCritic", "InBatch")
"""What every time is compared with, and what the others are measured with: plain cross-entropy in the batch, of two products."""
REPEATS: Final = 5
MOST: Final = 20
SECONDS: Final = 0.5
"""An update is repeated until it was timed `REPEATS` times and for so long, but not more often than `MOST`."""
SLOW: Final = 2.0
"""Seconds; an update that takes longer is timed once, as it warms up."""
MEBIBYTE: Final = 2**20


@final
@dataclass(frozen=True)
class Setting:
    """What is measured, at which sizes; no names are all names."""

    candidates: int = 1024
    features: int = 256
    embedding: int = 256
    device: str = "auto"
    critics: Sequence[str] = ()
    strategies: Sequence[str] = ()
    every: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rows < 2:
            raise UserError(
                f"--candidates {self.candidates} is no product of sequences and steps, at least 2 of each: strategies tell them apart; "
                "try 1024, which is 32 x 32."
            )
        if self.features < 2 * GROUP or self.features % GROUP:
            raise UserError(
                f"--features {self.features} must be a multiple of {GROUP}, at least {2 * GROUP}: as many are the stochastic part."
            )
        if self.embedding < 1:
            raise UserError(f"--embedding {self.embedding} must be at least 1.")

    @property
    def rows(self) -> int:
        """The sequences: the most that are not more than the steps of each."""
        return max((size for size in range(2, math.isqrt(max(self.candidates, 0)) + 1) if self.candidates % size == 0), default=0)

    @property
    def times(self) -> int:
        return self.candidates // self.rows

    @property
    def smaller(self) -> dict[tuple[str, str], int]:
        """What defaults are at most, where the batch is too small for them."""
        others = self.candidates - 1
        counts = {("Mixed", "count"): others, ("TopK", "count"): others, ("MoCHi", "hardest"): others}
        return {("UniformSubset", "candidates"): self.candidates, **counts}

    @property
    def sizes(self) -> Sizes:
        return Sizes(rows=self.rows, times=self.times, features=self.features, embedding=self.embedding, seed=self.seed)


@final
@dataclass(frozen=True)
class Cost:
    """The median time of an update, that in units of the baseline's, and its peak of bytes."""

    seconds: float
    ratio: float
    peak: int


@final
@dataclass
class Pair:
    """A critic and a strategy. `instead` are critics to try, in turn, where this one cannot go with the strategy."""

    critic: Member
    strategy: Member
    instead: Sequence[Member] = field(default_factory=tuple)


def measure(setting: Setting, progress: Progress = silent) -> Report:
    """Each pair that is asked for, or the reason why it cannot go."""
    device = _device(setting.device)
    pairs = _pairs(setting)
    plain = Update(setting.sizes, *_plain(), device)
    plain()
    rows = []
    for done, pair in enumerate(pairs):
        progress(done, len(pairs), f"{pair.critic.name} x {pair.strategy.name}")
        rows.append(_row(setting, pair, plain, device))
    progress(len(pairs), len(pairs), "done")
    title = (
        f"One update of InfoNCE, forward and backward: N = M = {setting.candidates} ({setting.rows} x {setting.times}), "
        f"D = {setting.features}, E = {setting.embedding}, {_named(device)}."
    )
    sizes = {"candidates": setting.candidates, "features": setting.features, "embedding": setting.embedding, "seed": setting.seed}
    return Report("cost", title, rows, {"command": "cost", **sizes, "device": _named(device), "baseline": " x ".join(BASELINE)})


def _pairs(setting: Setting) -> list[Pair]:
    """All with all, or a cross: every critic with the plain strategy, and every strategy with the plain critic."""
    for option, family, names in (("--critic", "critics", setting.critics), ("--strategy", "negatives", setting.strategies)):
        for name in names:
            if name not in (known := registry_of(family).list()):
                raise UserError(f"{option} {name}: there is no component of `{family}` with that name{advice(name, known)}.")
    critics = chosen("critics", setting.critics, ())
    strategies = chosen("negatives", setting.strategies, (), setting.smaller)
    if setting.every or (setting.critics and setting.strategies):
        return [Pair(critic, strategy) for critic in critics for strategy in strategies]
    plain_critic, plain_strategy = _plain()
    across = [Pair(critic, plain_strategy) for critic in critics] if not setting.strategies else []
    instead = [] if setting.critics else [critic for critic in critics if critic.name != plain_critic.name]
    down = [Pair(plain_critic, strategy, instead) for strategy in strategies] if not setting.critics else []
    both = [pair for pair in down if across and pair.strategy.name == plain_strategy.name]
    return across + [pair for pair in down if pair not in both]


def _plain() -> tuple[Member, Member]:
    return chosen("critics", BASELINE[:1], ())[0], chosen("negatives", BASELINE[1:], ())[0]


def _row(setting: Setting, pair: Pair, plain: Update, device: torch.device) -> Row:
    reason = ""
    for critic in (pair.critic, *pair.instead):
        try:
            found = _cost(Update(setting.sizes, critic, pair.strategy, device), plain, device)
        except UserError as refused:
            reason = reason or str(refused)
            continue
        settings = ", ".join(f"{name} = {value}" for name, value in {**critic.given, **pair.strategy.given}.items())
        return _filled(critic, pair.strategy, found, settings)
    return Row("critic", pair.critic.name, under={"strategy": pair.strategy.name}, note=f"cannot go: {reason}")


def _filled(critic: Member, strategy: Member, found: Cost, settings: str) -> Row:
    also: dict[str, Number] = {
        "milliseconds": 1e3 * found.seconds,
        "ratio": found.ratio,
        "MiB": found.peak / MEBIBYTE,
        "cost": str(cast("type[Critic]", critic.cls).cost),
    }
    return Row("critic", critic.name, under={"strategy": strategy.name}, also=also, note=settings)


def _cost(update: Update, plain: Update, device: torch.device) -> Cost:
    """The first update warms up, and its memory is measured.

    The baseline is timed beside every other, so that a busy machine slows both.
    """
    first: list[float] = []
    if device.type == "cuda":
        update()  # a matrix library's workspace, taken once
    peak = peak_bytes(lambda: first.append(_timed(update, device)), device)
    if first[0] > SLOW:
        return Cost(first[0], first[0] / statistics.median(_timed(plain, device) for _ in range(REPEATS)), peak)
    seconds: list[float] = []
    ratios: list[float] = []
    while len(seconds) < REPEATS or (sum(seconds) < SECONDS and len(seconds) < MOST):
        beside = _timed(plain, device)
        seconds.append(_timed(update, device))
        ratios.append(seconds[-1] / beside)
    return Cost(statistics.median(seconds), statistics.median(ratios), peak)


def _timed(update: Callable[[], object], device: torch.device) -> float:
    begun = time.perf_counter()
    update()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no CUDA device here; take --device cpu, or auto for what there is.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _named(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU with {threads} thread{'s' if threads > 1 else ''}"
