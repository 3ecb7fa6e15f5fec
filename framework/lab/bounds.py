"""Every bound on correlated Gaussians: what it says at its best critic, or at one that learned, of an information that is known."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
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
from framework.lab.members import Member, chosen, held
from framework.lab.report import Progress, Report, Row, average, silent, statistics
from framework.lab.sources import Pairs, at_least
from framework.registry import registry_of

Score = Literal["log ratio", "log density", "learned"]
LEARNING_RATE: Final = 5e-4
TRAINING_BATCH: Final = 64
LEAST_BATCHES: Final = 16


@final
@dataclass(frozen=True)
class Setting:
    """What `dream lab bounds` is asked for."""

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
            Pairs.of(nats, self.dimensions)
        for count in self.candidates:
            at_least(count, 2, "--candidates", "the positive and its negatives")
        at_least(self.pairs, 1, "--pairs", "how many positive pairs are drawn")
        at_least(self.steps, 1, "--steps", "how many updates a level of the staircase has")

    @property
    def latent(self) -> LatentSpec:
        return LatentSpec(deterministic=0, stochastic=self.dimensions, kind="gaussian")

    def batches(self, candidates: int) -> int:
        """Enough batches for so many pairs."""
        return max(LEAST_BATCHES, math.ceil(self.pairs / candidates))


def measure(setting: Setting, progress: Progress = silent) -> Report:
    """A row for each bound, information and number of candidates."""
    members = chosen("bounds", setting.only, setting.settings)
    measured = {"exact": _exact, "trained": _trained}[setting.critic](setting, members, progress)
    order = {member.name: index for index, member in enumerate(members)}
    rows = sorted(measured, key=lambda row: order[row.name])
    critic = {"exact": "the exact critic", "trained": "a critic that learned"}[setting.critic]
    title = f"Bounds on I(x; y) of {setting.dimensions} correlated Gaussian pairs, {setting.axis} axis, with {critic}; nats."
    return Report("bounds", title, rows, {"command": "bounds", **asdict(setting)})


def _exact(setting: Setting, members: Sequence[Member], progress: Progress) -> Iterator[Row]:
    """On the column axis the literal density comes first, and the log ratio, which is right there, beside it."""
    scores: tuple[Score, ...] = ("log ratio",) if setting.axis == "row" else ("log density", "log ratio")
    total, done = len(setting.mutual_information) * len(setting.candidates), 0
    for nats in setting.mutual_information:
        pairs = Pairs.of(nats, setting.dimensions)
        for candidates in setting.candidates:
            progress(done, total, f"{nats:g} nats, {candidates} candidates")
            for score in scores:
                yield from _levels(setting, members, pairs, candidates, score)
            done += 1


def _levels(setting: Setting, members: Sequence[Member], pairs: Pairs, candidates: int, score: Score) -> Iterator[Row]:
    """All the bounds on the same batches."""
    generator = torch.Generator().manual_seed(setting.seed)
    built = {member.name: (member, _at_its_best(_build(member, setting), pairs)) for member in members}
    found: dict[str, _Found] = {name: _Found() for name in built}

    def exact(latents: Latent, embeddings: Tensor) -> Tensor:
        return pairs.log_ratio(latents.stochastic, embeddings)

    for _ in range(setting.batches(candidates)):
        x, y = pairs.draw(candidates, generator)
        matrix = pairs.log_density(x, y) if score == "log density" else pairs.log_ratio(x, y)
        hits = _accuracy(_contrast(matrix, x, y, setting.axis, exact))
        for name, (member, bound) in built.items():
            if not found[name].reason:
                found[name].add(member, bound, _contrast(matrix + bound.baseline, x, y, setting.axis, exact), hits)
    for name, (_, bound) in built.items():
        yield found[name].row(name, bound, pairs.truth, candidates, score, upper=setting.axis == "row" or score == "log ratio")


def _trained(setting: Setting, members: Sequence[Member], progress: Progress) -> Iterator[Row]:
    """The staircase of Poole et al. (2019): one critic for each bound, which goes on from each level to the next."""
    each, total = len(setting.mutual_information) * setting.steps, len(members) * len(setting.mutual_information) * setting.steps
    for number, member in enumerate(members):
        bound = _build(member, setting)
        if bound.side == "upper":
            yield Row("bound", member.name, note="not trained: it bounds from above, and a critic could raise it without end.")
            continue

        def told(done: int, what: str, before: int = number * each) -> None:
            progress(before + done, total, what)

        try:
            yield from _staircase(setting, member, bound, told)
        except UserError as reason:
            if member.by_hand:
                raise
            yield Row("bound", member.name, note=str(reason))


def _staircase(setting: Setting, member: Member, bound: Bound, progress: Callable[[int, str], None]) -> Iterator[Row]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        sizes = {"layers": 2, "units": 256, "size": 32, "activation": "relu"}
        critic: Critic = held("critics", "SeparableCritic")(latent=setting.latent, embedding_size=setting.dimensions, **sizes)
    optimizer = torch.optim.Adam([*critic.parameters(), *bound.parameters()], lr=LEARNING_RATE)
    generator = torch.Generator().manual_seed(setting.seed)
    for level, nats in enumerate(setting.mutual_information):
        pairs = Pairs.of(nats, setting.dimensions)
        for step in range(setting.steps):
            if step % 50 == 0:
                progress(level * setting.steps + step, f"{member.name}, {nats:g} nats")
            _update(bound, critic, optimizer, pairs.draw(TRAINING_BATCH, generator), setting.axis)
        yield from _after(setting, member, bound, critic, pairs)


def _update(bound: Bound, critic: Critic, optimizer: torch.optim.Optimizer, drawn: tuple[Tensor, Tensor], axis: str) -> None:
    contrast = _learned(critic, *drawn, axis)
    optimizer.zero_grad()
    bound.loss(contrast).mean().backward()
    optimizer.step()
    bound.after_update(contrast)


def _after(setting: Setting, member: Member, bound: Bound, critic: Critic, pairs: Pairs) -> Iterator[Row]:
    for candidates in setting.candidates:
        generator = torch.Generator().manual_seed(setting.seed + 1)
        found = _Found()
        for _ in range(setting.batches(candidates)):
            with torch.no_grad():
                contrast = _learned(critic, *pairs.draw(candidates, generator), setting.axis)
                found.add(member, bound, contrast, _accuracy(contrast))
        yield found.row(member.name, bound, pairs.truth, candidates, "learned", upper=False)


@final
class _Found:
    """What one bound said of each batch."""

    def __init__(self) -> None:
        self.estimates: list[Tensor] = []
        self.accuracies: list[Tensor] = []
        self.reason = ""

    def add(self, member: Member, bound: Bound, contrast: Contrast, hits: Tensor) -> None:
        try:
            with torch.no_grad():
                estimate = bound.estimate(contrast)
        except UserError as reason:
            if member.by_hand:
                raise
            self.reason = str(reason)
            return
        count = contrast.scores.shape[0]
        if estimate.shape != (count,):
            raise UserError(f"{member.name}.estimate gives {[*estimate.shape]}, and must give one number for each anchor: [{count}].")
        self.estimates.append(estimate.mean())
        self.accuracies.append(hits)

    def row(self, name: str, bound: Bound, truth: float, candidates: int, score: Score, *, upper: bool) -> Row:
        """An upper bound is one only of the true conditional density, which `upper` says that it had."""
        under = {"mutual_information": truth, "candidates": candidates, "score": score}
        if self.reason:
            return Row("bound", name, truth=truth, under=under, note=self.reason)
        side = bound.side if bound.side == "lower" or (bound.side == "upper" and upper) else "neither"
        return Row(
            "bound",
            name,
            truth=truth,
            **statistics(torch.stack(self.estimates)),
            ceiling=math.log(candidates) if bound.capped else None,
            accuracy=average(self.accuracies),
            side=side,
            under=under,
        )


@final
class _MinusLogRatio(nn.Module):
    """The best `u` of `FLO`, from `[x, y]` of each pair."""

    def __init__(self, pairs: Pairs) -> None:
        super().__init__()
        self.pairs = pairs

    def forward(self, features: Tensor) -> Tensor:
        x, y = features.chunk(2, dim=-1)
        return -self.pairs.log_ratio_of_pairs(x, y)[:, None]


def _at_its_best(bound: Bound, pairs: Pairs) -> Bound:
    """What a bound itself learns is set to its optimum too."""
    learned = registry_of("bounds").get("FLO")
    for module in bound.modules():
        if isinstance(module, learned):
            module.network = _MinusLogRatio(pairs)
    return bound


def _build(member: Member, setting: Setting) -> Bound:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        bound: Bound = member.build(latent=setting.latent, embedding_size=setting.dimensions)
    return bound


def _accuracy(contrast: Contrast) -> Tensor:
    return accuracy(contrast.scores, contrast.log_weights)


def _learned(critic: Critic, x: Tensor, y: Tensor, axis: str) -> Contrast:
    return _contrast(critic(_latent(x), y.float()), x, y, axis, critic)


def _contrast(scores: Tensor, x: Tensor, y: Tensor, axis: str, critic: Callable[[Latent, Tensor], Tensor]) -> Contrast:
    """Each pair a sequence of its own. Only the row axis knows its latents and embeddings, as in an objective."""
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
