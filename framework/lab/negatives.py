"""`dream lab negatives`: every negative-sampling strategy on sequences of known structure, with the exact critic.

The critic is `log p(s_i | o_j) - log p(s_i)`. The second term is the same for all of a row; it matters where latents are the candidates.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final, final

import torch
from einops import rearrange
from torch import Tensor

from framework.contrastive.contrast import Contrast, Source
from framework.contrastive.origin import Origin
from framework.data import ExtraCandidates, Latent
from framework.errors import UserError
from framework.functional.contrastive import accuracy, alone, infonce_loss, log_candidates
from framework.functional.random import Key, new_key
from framework.lab.estimates import average, estimate_row
from framework.lab.members import Member, batch_caps, chosen
from framework.lab.settings import NegativesSettings, check_limits
from framework.lab.sources import Sequences, latent_of
from framework.measurement.report import Progress, Report, Row, silent
from framework.negatives.base import Negatives
from framework.signatures import SENTENCE_END

EXTRA: Final = 256
"""Extra candidates of each batch, steps of other sequences, as `Replay.extra_candidates` gives them."""
WARM_UP: Final = 8
"""Batches before the first measured one, which fill queues."""
DRIVE_NOTE: Final = "truth: the information between an observation and what is new in its latent, given the latent before."
BOUND_SENTENCE: Final = re.compile(r"lower bound|bounds from above")


def measure(settings: NegativesSettings, progress: Progress = silent) -> Report:
    """A row for each strategy, all on the same batches. A queue holds one batch unless its size is bound."""
    candidates = settings.batch * settings.length
    check_limits("--batch x --length", candidates, least=2)
    caps = {**batch_caps(candidates), ("MemoryQueue", "size"): candidates}
    _, structure = _source(settings)
    return Report(
        command="negatives",
        kind="strategy",
        title=f"Negative-sampling strategies with the exact critic, B x T = {settings.batch} x {settings.length}: {structure}; nats.",
        rows=rows_of(settings, chosen("negatives", settings.only, settings.bindings, caps), progress),
        setting=asdict(settings),
    )


def rows_of(settings: NegativesSettings, members: Sequence[Member], progress: Progress = silent) -> list[Row]:
    """The rows of some strategies."""
    sequences, _ = _source(settings)
    false = _false_negatives(sequences, settings.batch, settings.length)
    estimates = [_StrategyEstimates(each, sequences, false) for each in members]
    generator, keys = torch.Generator().manual_seed(settings.seed), torch.Generator().manual_seed(settings.seed + 1)
    for number in range(-WARM_UP, settings.batches):
        progress(max(number, 0), settings.batches, f"{len(estimates)} strategies")
        contrast = _contrast(settings, sequences, number + WARM_UP, generator)
        key = new_key(keys)
        for each in estimates:
            if number >= 0:
                each.add(contrast, key)
            each.after_update(contrast)
    return [each.row(settings.length) for each in estimates]


def _source(settings: NegativesSettings) -> tuple[Sequences, str]:
    """The source and its description."""
    if settings.source == "slow-fast":
        source = Sequences.slow_fast(slow_nats=settings.slow_nats, fast_nats=settings.fast_nats)
        return source, f"{settings.slow_nats:g} nat that a sequence keeps and {settings.fast_nats:g} that each step draws"
    structure = f"{settings.nats:g} nats in each step of an AR(1) with phi = {settings.phi:g}"
    return Sequences.autoregressive(phi=settings.phi, nats=settings.nats), structure


@final
class _StrategyEstimates:
    """The estimates of one strategy, batch by batch, or the reason why there are none."""

    def __init__(self, member: Member, sequences: Sequences, false: tuple[Tensor, Tensor]) -> None:
        self.member, self.sequences, self.false = member, sequences, false
        self.strategy: Negatives = member.build()
        for each in self.strategy.each():
            each.allocate(len(sequences.pairs.rho))
        self.estimates: defaultdict[str, list[Tensor]] = defaultdict(list)
        self.reason = ""

    def add(self, contrast: Contrast, key: Key) -> None:
        if self.reason:
            return
        try:
            selected = self.strategy(contrast, key)
        except UserError as error:
            self.reason = self.member.reason(error)
            return
        if not self.estimates:
            self.reason = _reason_against(self.member, selected, contrast)
            if self.reason:
                return
        for name, value in _metrics(selected, *self.false).items():
            self.estimates[name].append(value)

    def after_update(self, contrast: Contrast) -> None:
        assert contrast.source is not None
        for each in self.strategy.each():
            if each.is_stateful:
                each.after_update(contrast.source.embeddings, contrast.candidates)

    def row(self, times: int) -> Row:
        """Negatives of the prior are other latents that could have followed the latent before: the truth is that of the drive."""
        predicts = any(each.anchor == "prior" for each in self.strategy.each())
        settings = ", ".join(f"{name} = {value}" for name, value in self.member.settings.items())
        is_lower = self.strategy.bounds_below()
        notes = ["" if is_lower else self._no_bound_note(), DRIVE_NOTE if predicts else ""]
        return estimate_row(
            self.member.name,
            truth=self.sequences.drive_information(times) if predicts else self.sequences.pairs.truth,
            estimates=self.estimates["estimate"],
            accuracies=self.estimates["accuracy"],
            ceiling=average(self.estimates["ceiling"]) if self.strategy.keeps_positive else None,
            side=None if self.reason else "lower" if is_lower else "neither",
            extra={"settings": settings} | {name: average(self.estimates[name]) for name in ("false_negatives", "false_negative_mass")},
            note=f"not measured: {self.reason}" if self.reason else " ".join(notes).strip(),
        )

    def _no_bound_note(self) -> str:
        """The sentence of its docstring on why the estimate is no lower bound."""
        sentences = [each for each in SENTENCE_END.split(" ".join(self.member.component.doc.split())) if BOUND_SENTENCE.search(each)]
        return f"no bound: {sentences[-1]}" if sentences else "no bound."


def _contrast(settings: NegativesSettings, sequences: Sequences, number: int, generator: torch.Generator) -> Contrast:
    """One batch of sequences, each an episode of its own, with extra candidates from sequences of one step each.

    Their rewards are the first number of the latent.
    """
    latents, observations = sequences.draw(settings.batch, settings.length, generator)
    _, extra = sequences.draw(EXTRA, 1, generator)
    flat_latents, flat_observations = (rearrange(part, "b t d -> (b t) d") for part in (latents, observations))
    first = number * (settings.batch + EXTRA)
    episode = torch.arange(first, first + settings.batch)[:, None].expand(settings.batch, settings.length)

    def predict(drive: Tensor, anchors: Origin) -> Latent:
        driven = sequences.driven(latents, rearrange(drive, "(b t) a -> b t a", b=settings.batch))
        return latent_of(rearrange(driven, "b t d -> (b t) d"))

    source = Source(
        latents=latent_of(flat_latents),
        embeddings=flat_observations,
        score=lambda anchors, candidates: sequences.pairs.log_ratio(anchors.stochastic, candidates),
        score_pairs=lambda anchors, candidates: sequences.pairs.log_ratio_of_pairs(anchors.stochastic, candidates),
        action=rearrange(sequences.drive(latents), "b t a -> (b t) a"),
        is_first=torch.zeros(len(flat_latents), dtype=torch.bool),
        reward=flat_latents[:, 0],
        predict=predict,
        extra=ExtraCandidates(embedding=rearrange(extra, "n 1 d -> n d"), episode=torch.arange(EXTRA) + first + settings.batch),
    )
    return Contrast.of(sequences.pairs.log_ratio(flat_latents, flat_observations), Origin.of(episode), source)


def _reason_against(member: Member, selected: object, contrast: Contrast) -> str:
    """Refuse a result that no bound can use, and return the reason not to measure the strategy, or an empty text.

    An anchor without a negative is refused where the user asked for the strategy, and is such a reason elsewhere.
    """
    if not isinstance(selected, Contrast):
        raise UserError(f"{member.name}.choose gives a {type(selected).__name__}, and must give a Contrast, as contrast.keep(..) does.")
    shapes = [[*part.shape] for part in (selected.scores, selected.log_weights)]
    expected = [contrast.scores.shape[0], len(selected.candidates.row)]
    if any(shape != expected for shape in shapes):
        raise UserError(
            f"{member.name}.choose gives scores of shape {shapes[0]} and log-weights of shape {shapes[1]}; both must be "
            f"{expected}: a row for each anchor, a column for each candidate."
        )
    if bool((selected.log_weights.isnan() | selected.log_weights.isposinf()).any()) or not bool(selected.scores.isfinite().all()):
        raise UserError(f"{member.name}.choose gives scores or log-weights that are nan or infinite; a log-weight is a number or -inf.")
    if not bool(alone(selected.log_weights).any()):
        return ""
    reason = f"{member.name} leaves a row without a negative; every anchor must keep one candidate beside its positive."
    if member.requested or member.bound:
        raise UserError(reason)
    return reason


def _false_negatives(sequences: Sequences, rows: int, times: int) -> tuple[Tensor, Tensor]:
    """The anchors and candidates of the pairs of one sequence that are alike; the batch comes first among the candidates."""
    steps = Origin.of(torch.arange(rows)[:, None].expand(rows, times))
    apart = steps.time[:, None] - steps.time
    anchors, candidates = torch.nonzero((steps.row[:, None] == steps.row) & (apart != 0) & sequences.alike(apart), as_tuple=True)
    return anchors, candidates


def _metrics(selected: Contrast, anchors: Tensor, candidates: Tensor) -> dict[str, Tensor]:
    """Means over all anchors. `anchors` and `candidates` are the false negatives, which are counted by their weights."""
    loss, log_count = infonce_loss(selected.scores, selected.log_weights), log_candidates(selected.log_weights)
    scores, weights = (part[anchors, candidates] for part in (selected.scores, selected.log_weights))
    partition = loss + selected.scores.diagonal()
    negative = selected.log_weights.exp().sum() - selected.log_weights.diagonal().exp().sum()
    return {
        "estimate": (log_count - loss).mean(),
        "accuracy": accuracy(selected.scores, selected.log_weights),
        "ceiling": log_count.mean(),
        "false_negatives": weights.exp().sum() / negative.clamp(min=torch.finfo(negative.dtype).tiny),
        "false_negative_mass": (scores + weights - partition[anchors]).exp().sum() / len(loss),
    }
