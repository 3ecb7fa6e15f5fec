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
from framework.lab.settings import BoundsSettings
from framework.lab.sources import GaussianPairs
from framework.measurement.report import Progress, Report, Row, silent
from framework.registry import registry_of

ScoreKind = Literal["log ratio", "log density", "learned"]
LEARNING_RATE: Final = 5e-4
TRAINING_BATCH: Final = 64
LEAST_BATCHES: Final = 16


def measure(settings: BoundsSettings, progress: Progress = silent) -> Report:
    """A row for each bound, information and number of candidates."""
    levels = [GaussianPairs.of(nats, settings.dimensions) for nats in settings.mutual_information]
    members = chosen("bounds", settings.only, settings.bindings)
    measured = {"exact": _exact, "trained": _trained}[settings.critic](settings, members, levels, progress)
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


def _exact(settings: BoundsSettings, members: Sequence[Member], levels: Sequence[GaussianPairs], progress: Progress) -> Iterator[Row]:
    """On the column axis the literal density comes first; it is no best critic there, and the log ratio beside it is."""
    scores: tuple[ScoreKind, ...] = ("log ratio",) if settings.axis == "row" else ("log density", "log ratio")
    parts = [(pairs, candidates) for pairs in levels for candidates in settings.candidates]
    for done, (pairs, candidates) in enumerate(parts):
        progress(done, len(parts), f"{pairs.truth:g} nats, {candidates} candidates")
        for score in scores:
            yield from _with_exact_critic(settings, members, pairs, candidates, score)


def _with_exact_critic(
    settings: BoundsSettings, members: Sequence[Member], pairs: GaussianPairs, candidates: int, score: ScoreKind
) -> Iterator[Row]:
    """All bounds on the same batches."""
    generator = torch.Generator().manual_seed(settings.seed)
    estimates = [_BoundEstimates(member, _optimal(_build(member, settings), pairs)) for member in members]

    def critic(latents: Latent, embeddings: Tensor) -> Tensor:
        return pairs.log_ratio(latents.stochastic, embeddings)

    for _ in range(_batches(settings, candidates)):
        x, y = pairs.draw(candidates, generator)
        scores = pairs.log_density(x, y) if score == "log density" else pairs.log_ratio(x, y)
        for each in estimates:
            each.add(_contrast(scores + each.bound.baseline, x, y, settings.axis, critic))
    for each in estimates:
        yield each.row(pairs.truth, candidates, score, exact=settings.axis == "row" or score == "log ratio")


def _trained(settings: BoundsSettings, members: Sequence[Member], levels: Sequence[GaussianPairs], progress: Progress) -> Iterator[Row]:
    """The staircase of Poole et al. (2019): a critic for each bound, trained on from each level to the next."""
    for done, member in enumerate(members):
        progress(done, len(members), member.name)
        bound = _build(member, settings)
        if bound.side == "upper":
            yield Row(member.name, {}, note="not trained: it bounds from above, and a critic could raise it without end.")
            continue
        try:
            yield from _staircase(settings, member, bound, levels)
        except UserError as error:
            yield Row(member.name, {}, note=member.reason(error))


def _staircase(settings: BoundsSettings, member: Member, bound: Bound, levels: Sequence[GaussianPairs]) -> Iterator[Row]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        sizes = {"layers": 2, "units": 256, "size": 32, "activation": "relu"}
        critic: Critic = default("critics", "SeparableCritic")(latent=_spec(settings), embedding_size=settings.dimensions, **sizes)
    optimizer = torch.optim.Adam([*critic.parameters(), *bound.parameters()], lr=LEARNING_RATE)
    generator = torch.Generator().manual_seed(settings.seed)
    for pairs in levels:
        for _ in range(settings.steps):
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
        for _ in range(_batches(settings, candidates)):
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
        bound: Bound = member.build(latent=_spec(settings), embedding_size=settings.dimensions)
    return bound


def _spec(settings: BoundsSettings) -> LatentSpec:
    return LatentSpec(deterministic=0, stochastic=settings.dimensions, kind="gaussian")


def _batches(settings: BoundsSettings, candidates: int) -> int:
    """The number of batches that have `pairs` positives together."""
    return max(LEAST_BATCHES, math.ceil(settings.pairs / candidates))


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
