"""`dream lab bounds`: every bound on correlated Gaussians of known information, with its best critic or with a learned one."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from framework.bounds.base import Bound
from framework.bounds.flo import FLO
from framework.contrastive.contrast import Contrast, Source
from framework.contrastive.origin import Origin
from framework.critics.base import Critic
from framework.errors import UserError
from framework.functional.contrastive import accuracy
from framework.lab.estimates import Side, estimate_row
from framework.lab.members import Member, chosen
from framework.lab.settings import BoundsSettings
from framework.lab.sources import GaussianPairs, latent_of
from framework.measurement.report import Progress, Report, Row, silent
from framework.specs import LatentSpec

Scores = Callable[[Tensor, Tensor], Tensor]
"""Of all pairs of x and y."""
ScoreKind = Literal["log ratio", "log density", "learned"]
LEARNING_RATE: Final = 5e-4
TRAINING_BATCH: Final = 64
LEAST_BATCHES: Final = 16


def measure(settings: BoundsSettings, progress: Progress = silent) -> Report:
    """A row for each bound, information and number of candidates."""
    levels = [GaussianPairs.of(nats, settings.dimensions) for nats in settings.mutual_information]
    rows_of, critic = {"exact": (_exact, "the exact critic"), "trained": (_trained, "a critic that learned")}[settings.critic]
    rows: list[Row] = []
    members = chosen("bounds", settings.only, settings.bindings)
    for done, member in enumerate(members):
        progress(done, len(members), member.name)
        try:
            rows += rows_of(settings, member, levels)
        except UserError as error:
            rows.append(estimate_row(member.name, truth=None, note=member.reason(error)))
    return Report(
        command="bounds",
        kind="bound",
        title=f"Bounds on I(x; y) of {settings.dimensions} correlated Gaussian pairs, {settings.axis} axis, with {critic}; nats.",
        rows=rows,
        setting=asdict(settings),
        conditions=("truth", "candidates", "score"),
    )


def _exact(settings: BoundsSettings, member: Member, levels: Sequence[GaussianPairs]) -> Iterator[Row]:
    """All bounds on the same batches. On the column axis the log ratio is the best critic, and the literal density is not."""
    scores: tuple[ScoreKind, ...] = ("log ratio",) if settings.axis == "row" else ("log density", "log ratio")
    for pairs, candidates, score in product(levels, settings.candidates, scores):
        bound = optimal(member.seeded(settings.seed, **_sizes(settings)), pairs)
        exact = partial(exact_scores, pairs, score, bound.baseline)
        yield _row(settings, member, bound, pairs, candidates, score, exact, settings.seed)


def _trained(settings: BoundsSettings, member: Member, levels: Sequence[GaussianPairs]) -> Iterator[Row]:
    """The staircase of Poole et al. (2019): a critic for each bound, trained on from each level to the next."""
    bound: Bound = member.seeded(settings.seed, **_sizes(settings))
    if bound.side == "upper":
        raise UserError("not trained: it bounds from above, and a critic could raise it without end.")
    critic: Critic = chosen("critics", ("SeparableCritic",))[0].seeded(
        settings.seed, **_sizes(settings), layers=2, units=256, size=32, activation="relu"
    )
    scores = partial(_learned, critic)
    optimizer = torch.optim.Adam([*critic.parameters(), *bound.parameters()], lr=LEARNING_RATE)
    generator = torch.Generator().manual_seed(settings.seed)
    for pairs in levels:
        for _ in range(settings.steps):
            contrast = contrast_of(scores, *pairs.draw(TRAINING_BATCH, generator), settings.axis)
            optimizer.zero_grad()
            bound.loss(contrast).mean().backward()
            optimizer.step()
            bound.after_update(contrast)
        for candidates in settings.candidates:
            yield _row(settings, member, bound, pairs, candidates, "learned", scores, settings.seed + 1)


@torch.no_grad()
def _row(
    settings: BoundsSettings,
    member: Member,
    bound: Bound,
    pairs: GaussianPairs,
    candidates: int,
    score: ScoreKind,
    scores: Scores,
    seed: int,
) -> Row:
    """Estimates over batches that have `settings.pairs` positives together. An upper bound is one only with the exact density."""
    generator = torch.Generator().manual_seed(seed)
    estimates, accuracies = [], []
    for _ in range(max(LEAST_BATCHES, math.ceil(settings.pairs / candidates))):
        contrast = contrast_of(scores, *pairs.draw(candidates, generator), settings.axis)
        estimate = bound.estimate(contrast)
        if estimate.shape != (candidates,):
            raise UserError(f"{member.name}.estimate gives {[*estimate.shape]}, and must give one number for each anchor: [{candidates}].")
        estimates.append(estimate.mean())
        accuracies.append(accuracy(contrast.scores, contrast.log_weights))
    side: Side = bound.side or "neither"
    return estimate_row(
        member.name,
        truth=pairs.truth,
        conditions={"candidates": candidates, "score": score},
        estimates=estimates,
        accuracies=accuracies,
        ceiling=math.log(candidates) if bound.capped else None,
        side="neither" if side == "upper" and score != "log ratio" else side,
    )


def exact_scores(pairs: GaussianPairs, score: ScoreKind, baseline: float, x: Tensor, y: Tensor) -> Tensor:
    return baseline + (pairs.log_ratio(x, y) if score == "log ratio" else pairs.log_density(x, y))


def _learned(critic: Critic, x: Tensor, y: Tensor) -> Tensor:
    scores: Tensor = critic(latent_of(x.float()), y.float())
    return scores


def optimal(bound: Bound, pairs: GaussianPairs) -> Bound:
    """The bound whose own network, if it has one, gives the best `u` of `FLO`, the negated log ratio, from `[x, y]` of each pair."""

    def best(network: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        return -pairs.log_ratio_of_pairs(*inputs[0].chunk(2, dim=-1))[:, None]

    for module in bound.modules():
        if isinstance(module, FLO):
            module.network.register_forward_hook(best)
    return bound


def _sizes(settings: BoundsSettings) -> dict[str, Any]:
    latent = LatentSpec(deterministic=0, stochastic=settings.dimensions, kind="gaussian")
    return {"latent": latent, "embedding_size": settings.dimensions}


def contrast_of(scores: Scores, x: Tensor, y: Tensor, axis: str) -> Contrast:
    """Each pair is a sequence of its own. The row axis alone has latents and embeddings, as in an objective."""
    origin = Origin.of(torch.arange(len(x))[:, None])
    if axis == "column":
        return Contrast.of(scores(x, y).T, origin)
    source = Source(
        latents=latent_of(x.float()),
        embeddings=y.float(),
        score=lambda latents, embeddings: scores(latents.stochastic, embeddings),
        score_pairs=lambda latents, embeddings: scores(latents.stochastic, embeddings).diagonal(),
    )
    return Contrast.of(scores(x, y), origin, source)
