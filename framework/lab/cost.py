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
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from framework.contrast import Drawn
from framework.critics.base import Critic
from framework.data import Batch, Latent, LatentKind, LatentSpec
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional.hashing import draw_seed
from framework.lab.members import Member, chosen, held
from framework.lab.memory import peak_bytes
from framework.lab.report import Number, Progress, Report, Row, silent
from framework.negatives.base import Negatives
from framework.objectives.base import Filtered
from framework.objectives.infonce import InfoNCE
from framework.registry import advice, registry_of

BASELINE: Final = ("BilinearCritic", "InBatch")
"""What every time is compared with, and what the others are measured with: plain cross-entropy in the batch, of two products."""
GROUP: Final = 8
"""The size of a one-hot group, and how many times smaller the stochastic part is than all features."""
ACTIONS: Final = 4
DRAWS: Final = 256
"""Steps drawn from the replay for themselves, for the strategies that want them."""
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
        counts = {("Mixed", "count"): others, ("TopK", "count"): others, ("MixedNegatives", "hardest"): others}
        return {("UniformSubset", "candidates"): self.candidates, **counts}

    def latent(self, kind: LatentKind) -> LatentSpec:
        """An eighth of the features, in whole groups, is stochastic."""
        stochastic = max(GROUP, self.features // GROUP // GROUP * GROUP)
        classes = GROUP if kind == "categorical" else None
        return LatentSpec(deterministic=self.features - stochastic, stochastic=stochastic, kind=kind, classes=classes)


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
    plain = _Update(setting, *_plain(), device)
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


def _row(setting: Setting, pair: Pair, plain: "_Update", device: torch.device) -> Row:
    reason = ""
    for critic in (pair.critic, *pair.instead):
        try:
            found = _cost(_Update(setting, critic, pair.strategy, device), plain, device)
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


def _cost(update: "_Update", plain: "_Update", device: torch.device) -> Cost:
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


@final
class _Update:
    """One update of an objective, over the same random batch each time."""

    def __init__(self, setting: Setting, critic: Member, strategy: Member, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(setting.seed)
        scoring, choosing = cast("type[Critic]", critic.cls), cast("type[Negatives]", strategy.cls)
        kinds = scoring.takes_latent
        latent = setting.latent("gaussian" if "gaussian" in kinds else kinds[0])
        if choosing.anchor == "prior" and latent.kind != "gaussian":
            raise UserError(f"{strategy.name} asks a dynamics, and the one here has no {latent.kind} latents, which {critic.name} takes.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setting.seed)
            objective = InfoNCE(
                latent=latent,
                embedding_size=setting.embedding,
                observation={},
                critic=critic.build,
                negatives=strategy.build,
                bound=held("bounds", "InfoNCEBound"),
                anchor=scoring.anchor or choosing.anchor or "posterior",
                axis="column" if scoring.normalised_over == "observation" else "row",
            )
            dynamics = registry_of("dynamics").get("GaussianRSSM")(
                embedding_size=setting.embedding, action_size=ACTIONS, deterministic=latent.deterministic, stochastic=latent.stochastic
            )
        self.objective, self.seed = objective.to(device), draw_seed(generator).to(device)
        self.seen = _filtered(setting, latent, dynamics.to(device), generator, device)
        leaves = [self.seen.embedding, *_parts(self.seen.posterior), *_parts(self.seen.prior)]
        self.leaves = [*leaves, *objective.parameters(), *dynamics.parameters()]

    def __call__(self) -> None:
        losses, _ = self.objective(self.seen, self.seed)
        loss = torch.stack([each.mean() for each in losses.values()]).sum()
        torch.autograd.grad(loss, self.leaves, allow_unused=True)
        self.objective.follow(self.seen, self.seed)


def _filtered(setting: Setting, latent: LatentSpec, dynamics: Dynamics, generator: torch.Generator, device: torch.device) -> Filtered:
    """A batch as the world model would hand it to the objective: each row one episode, all numbers random."""
    rows, times = setting.rows, setting.times

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    def belief() -> Latent:
        drawn = normal(rows, times, latent.stochastic)
        deterministic = normal(rows, times, latent.deterministic).requires_grad_()
        if latent.kind == "gaussian":
            mean, std = normal(*drawn.shape), torch.ones_like(drawn)
            return Latent(deterministic, drawn.requires_grad_(), {"mean": mean.requires_grad_(), "std": std.requires_grad_()})
        groups = F.one_hot(rearrange(drawn, "b t (s k) -> b t s k", k=GROUP).argmax(dim=-1), GROUP).float()
        return Latent(deterministic, rearrange(groups, "b t s k -> b t (s k)").requires_grad_(), {"logits": drawn.requires_grad_()})

    is_first = torch.arange(times, device=device).expand(rows, times) == 0
    return Filtered(
        posterior=belief(),
        prior=belief(),
        embedding=normal(rows, times, setting.embedding).requires_grad_(),
        batch=Batch(
            observation={},
            action=normal(rows, times, ACTIONS).tanh(),
            reward=normal(rows, times),
            is_first=is_first,
            is_terminal=torch.zeros_like(is_first),
            episode=torch.arange(rows, device=device)[:, None].expand(rows, times),
        ),
        dynamics=dynamics,
        slow_embedding=normal(rows, times, setting.embedding),
        drawn=Drawn(embedding=normal(DRAWS, setting.embedding), episode=torch.arange(DRAWS, device=device) + rows),
    )


def _parts(latent: Latent) -> list[Tensor]:
    return [latent.deterministic, latent.stochastic, *latent.statistics.values()]


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no CUDA device here; take --device cpu, or auto for what there is.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _named(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU with {threads} thread{'s' if threads > 1 else ''}"
