"""`dream lab bounds`: every bound on correlated Gaussians of known information, with its best critic or with a learned one."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Literal, final

import torch
from torch import Tensor, nn

from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast, Source
from framework.contrastive.origin import Origin
from framework.critics.base import Critic
from framework.data import Latent, LatentSpec
from framework.errors import UserError
from framework.functional.contrastive import accuracy
from framework.lab.estimates import Side, estimate_row
from framework.lab.members import Member, chosen, default
from framework.lab.sources import GaussianPairs, check_at_least
from framework.measurement.report import Progress, Report, Row, silent
from framework.registry import registry_of

ScoreKind = Literal["log ratio", "log density", "learned"]
LEARNING_RATE: Final = 5e-4
TRAINING_BATCH: Final = 64
LEAST_BATCHES: Final = 16
REPORT_EVERY: Final = 50


@final
@dataclass(frozen=True)
class BoundsSettings:
    """The options of `dream lab bounds`."""

    dimensions: int = 20
    mutual_information: Sequence[float] = (2.0, 4.0, 6.0, 8.0, 10.0)
    candidates: Sequence[int] = (64, 128, 256, 1024)
    critic: Literal["exact", "trained"] = "exact"
    axis: Literal["row", "column"] = "row"
    pairs: int = 20_480
    steps: int = 4_000
    only: Sequence[str] = ()
    settings: Sequence[str] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for nats in self.mutual_information:
            GaussianPairs.of(nats, self.dimensions)
        for count in self.candidates:
            check_at_least(count, 2, "--candidates", "the positive and its negatives")
        check_at_least(self.pairs, 1, "--pairs", "how many positive pairs are drawn")
        check_at_least(self.steps, 1, "--steps", "how many updates a level of the staircase has")

    @property
    def latent(self) -> LatentSpec:
        return LatentSpec(deterministic=0, stochastic=self.dimensions, kind="gaussian")

    def batches(self, candidates: int) -> int:
        """The number of batches that have `pairs` positives together."""
        return max(LEAST_BATCHES, math.ceil(self.pairs / candidates))


def measure(settings: BoundsSettings, progress: Progress = silent) -> Report:
    """A row for each bound, information and number of candidates."""
    members = chosen("bounds", settings.only, settings.settings)
    measured = {"exact": _exact, "trained": _trained}[settings.critic](settings, members, progress)
    order = [member.name for member in members]
    critic = {"exact": "the exact critic", "trained": "a critic that learned"}[settings.critic]
    return Report(
        command="bounds",
        kind="bound",
        title=f"Bounds on I(x; y) of {settings.dimensions} correlated Gaussian pairs, {settings.axis} axis, with {critic}; nats.",
        rows=sorted(measured, key=lambda row: order.index(row.name)),
        setting=asdict(settings),
        conditions=("truth", "candidates", "score"),
    )


def _exact(settings: BoundsSettings, members: Sequence[Member], progress: Progress) -> Iterator[Row]:
    """On the column axis the literal density comes first; it is no best critic there, and the log ratio beside it is."""
    scores: tuple[ScoreKind, ...] = ("log ratio",) if settings.axis == "row" else ("log density", "log ratio")
    levels = [(nats, candidates) for nats in settings.mutual_information for candidates in settings.candidates]
    for done, (nats, candidates) in enumerate(levels):
        progress(done, len(levels), f"{nats:g} nats, {candidates} candidates")
        for score in scores:
            yield from _with_exact_critic(settings, members, GaussianPairs.of(nats, settings.dimensions), candidates, score)


def _with_exact_critic(
    settings: BoundsSettings, members: Sequence[Member], pairs: GaussianPairs, candidates: int, score: ScoreKind
) -> Iterator[Row]:
    """All bounds on the same batches."""
    generator = torch.Generator().manual_seed(settings.seed)
    estimates = [_BoundEstimates(member, _optimal(_build(member, settings), pairs)) for member in members]

    def critic(latents: Latent, embeddings: Tensor) -> Tensor:
        return pairs.log_ratio(latents.stochastic, embeddings)

    for _ in range(settings.batches(candidates)):
        x, y = pairs.draw(candidates, generator)
        scores = pairs.log_density(x, y) if score == "log density" else pairs.log_ratio(x, y)
        for each in estimates:
            each.add(_contrast(scores + each.bound.baseline, x, y, settings.axis, critic))
    for each in estimates:
        yield each.row(pairs.truth, candidates, score, exact=settings.axis == "row" or score == "log ratio")


def _trained(settings: BoundsSettings, members: Sequence[Member], progress: Progress) -> Iterator[Row]:
    """The staircase of Poole et al. (2019): a critic for each bound, trained on from each level to the next."""
    each = len(settings.mutual_information) * settings.steps
    for number, member in enumerate(members):
        bound = _build(member, settings)
        if bound.side == "upper":
            yield Row(member.name, {}, note="not trained: it bounds from above, and a critic could raise it without end.")
            continue

        def report(done: int, part: str, before: int = number * each) -> None:
            progress(before + done, len(members) * each, part)

        try:
            yield from _staircase(settings, member, bound, report)
        except UserError as error:
            yield Row(member.name, {}, note=member.reason(error))


def _staircase(settings: BoundsSettings, member: Member, bound: Bound, report: Callable[[int, str], None]) -> Iterator[Row]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        sizes = {"layers": 2, "units": 256, "size": 32, "activation": "relu"}
        critic: Critic = default("critics", "SeparableCritic")(latent=settings.latent, embedding_size=settings.dimensions, **sizes)
    optimizer = torch.optim.Adam([*critic.parameters(), *bound.parameters()], lr=LEARNING_RATE)
    generator = torch.Generator().manual_seed(settings.seed)
    for level, nats in enumerate(settings.mutual_information):
        pairs = GaussianPairs.of(nats, settings.dimensions)
        for step in range(settings.steps):
            if step % REPORT_EVERY == 0:
                report(level * settings.steps + step, f"{member.name}, {nats:g} nats")
            contrast = _learned_contrast(critic, *pairs.draw(TRAINING_BATCH, generator), settings.axis)
            optimizer.zero_grad()
            bound.loss(contrast).mean().backward()
            optimizer.step()
            bound.after_update(contrast)
        yield from _evaluated(settings, member, bound, critic, pairs)


@torch.no_grad()
def _evaluated(settings: BoundsSettings, member: Member, bound: Bound, critic: Critic, pairs: GaussianPairs) -> list[Row]:
    rows = []
    for candidates in settings.candidates:
        generator = torch.Generator().manual_seed(settings.seed + 1)
        estimates = _BoundEstimates(member, bound)
        for _ in range(settings.batches(candidates)):
            estimates.add(_learned_contrast(critic, *pairs.draw(candidates, generator), settings.axis))
        rows.append(estimates.row(pairs.truth, candidates, "learned", exact=False))
    return rows


@final
@dataclass
class _BoundEstimates:
    """The estimates of one bound, batch by batch, or the reason why there are none."""

    member: Member
    bound: Bound
    estimates: list[Tensor] = field(default_factory=list)
    accuracies: list[Tensor] = field(default_factory=list)
    reason: str = ""

    @torch.no_grad()
    def add(self, contrast: Contrast) -> None:
        if self.reason:
            return
        try:
            estimate = self.bound.estimate(contrast)
        except UserError as error:
            self.reason = self.member.reason(error)
            return
        count = contrast.scores.shape[0]
        if estimate.shape != (count,):
            raise UserError(f"{self.member.name}.estimate gives {[*estimate.shape]}, and must give one number for each anchor: [{count}].")
        self.estimates.append(estimate.mean())
        self.accuracies.append(accuracy(contrast.scores, contrast.log_weights))

    def row(self, truth: float, candidates: int, score: ScoreKind, *, exact: bool) -> Row:
        """An upper bound is one only with the `exact` conditional density."""
        side: Side = "neither" if self.bound.side is None or (self.bound.side == "upper" and not exact) else self.bound.side
        return estimate_row(
            self.member.name,
            truth=truth,
            conditions={"candidates": candidates, "score": score},
            estimates=self.estimates,
            accuracies=self.accuracies,
            ceiling=math.log(candidates) if self.bound.capped and not self.reason else None,
            side=None if self.reason else side,
            note=self.reason,
        )


@final
class _MinusLogRatio(nn.Module):
    """The best `u` of `FLO`, from `[x, y]` of each pair."""

    def __init__(self, pairs: GaussianPairs) -> None:
        super().__init__()
        self.pairs = pairs

    def forward(self, features: Tensor) -> Tensor:
        x, y = features.chunk(2, dim=-1)
        return -self.pairs.log_ratio_of_pairs(x, y)[:, None]


def _optimal(bound: Bound, pairs: GaussianPairs) -> Bound:
    """The bound with its own network, if it has one, at the optimum."""
    learned = registry_of("bounds").get("FLO")
    for module in bound.modules():
        if isinstance(module, learned):
            module.network = _MinusLogRatio(pairs)
    return bound


def _build(member: Member, settings: BoundsSettings) -> Bound:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        bound: Bound = member.build(latent=settings.latent, embedding_size=settings.dimensions)
    return bound


def _learned_contrast(critic: Critic, x: Tensor, y: Tensor, axis: str) -> Contrast:
    return _contrast(critic(_latent(x), y.float()), x, y, axis, critic)


def _contrast(scores: Tensor, x: Tensor, y: Tensor, axis: str, critic: Callable[[Latent, Tensor], Tensor]) -> Contrast:
    """Each pair is a sequence of its own. The row axis alone has latents and embeddings, as in an objective."""
    origin = Origin.of(torch.arange(len(x))[:, None])
    if axis == "column":
        return Contrast.of(scores.T, origin)
    source = Source(
        latents=_latent(x),
        embeddings=y.float(),
        score=critic,
        score_pairs=lambda latents, embeddings: critic(latents, embeddings).diagonal(),
    )
    return Contrast.of(scores, origin, source)


def _latent(x: Tensor) -> Latent:
    value = x.float()
    return Latent(deterministic=value[:, :0], stochastic=value, statistics={"mean": value, "std": torch.ones_like(value)})
