"""Every negative-sampling strategy on sequences whose structure is known, with the exact critic `log p(s_i | o_j)`.

It is scored less `log p(s_i)`, which no row sees, and without which it would be wrong where latents are the candidates.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal, final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from framework.contrastive.contrast import Contrast, Source
from framework.contrastive.origin import Origin
from framework.data import ExtraCandidates, Latent
from framework.errors import UserError
from framework.functional.contrastive import accuracy, alone, infonce_loss, log_candidates, weighted
from framework.functional.random import new_key
from framework.lab.members import Member, chosen
from framework.lab.report import Progress, Report, Row, average, silent, statistics
from framework.lab.sources import Autoregressive, Sequences, SlowFast, at_least
from framework.negatives.base import Negatives
from framework.signatures import SENTENCE_END

DRAWS: Final = 256
"""Steps of other sequences beside each batch, as `Replay.extra` gives them."""
WARM_UP: Final = 8
"""Batches that only a queue sees, before anything is measured."""
OF_DRIVE: Final = "truth: the information between an observation and what is new in its latent, given the latent before."
ABOUT_BOUNDS: Final = re.compile(r"lower bound|bounds from above")


@final
@dataclass(frozen=True)
class Setting:
    """What `dream lab negatives` is asked for."""

    source: Literal["slow-fast", "autoregressive"] = "slow-fast"
    slow_nats: float = 1.0
    fast_nats: float = 1.0
    phi: float = 0.9
    nats: float = 4.0
    batch: int = 32
    length: int = 32
    batches: int = 100
    only: Sequence[str] = ()
    settings: Sequence[str] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        self.sequences()
        at_least(self.batch, 1, "--batch", "the number of sequences")
        at_least(self.length, 1, "--length", "the number of steps of a sequence")
        at_least(self.batch * self.length, 2, "--batch x --length", "the positive and its negatives")
        at_least(self.batches, 2, "--batches", "what a standard error is taken over")

    def sequences(self) -> Sequences:
        if self.source == "slow-fast":
            return SlowFast(slow_nats=self.slow_nats, fast_nats=self.fast_nats)
        return Autoregressive(phi=self.phi, nats=self.nats)

    @property
    def smaller(self) -> dict[tuple[str, str], int]:
        """What defaults are at most: a batch may be too small for them, and a queue of one batch shows what a queue does."""
        others = self.batch * self.length - 1
        return {
            ("UniformSubset", "candidates"): others + 1,
            ("Mixed", "count"): others,
            ("TopK", "count"): others,
            ("MoCHi", "hardest"): others,
            ("MemoryQueue", "size"): others + 1,
        }


def measure(setting: Setting, progress: Progress = silent) -> Report:
    """A row for each strategy: all see the same batches."""
    members = chosen("negatives", setting.only, setting.settings, setting.smaller)
    sequences = setting.sequences()
    watched = [_Watched(member, len(sequences.pairs.rho)) for member in members]
    generator, seeds = torch.Generator().manual_seed(setting.seed), torch.Generator().manual_seed(setting.seed + 1)
    for number in range(-WARM_UP, setting.batches):
        progress(max(number, 0), setting.batches, f"{len(members)} strategies")
        contrast = _contrast(setting, sequences, number + WARM_UP, generator)
        seed = new_key(seeds)
        for each in watched:
            if number >= 0:
                each.see(contrast, seed, sequences)
            each.after_update(contrast)
    rows = [each.row(sequences, setting.length) for each in watched]
    structure = {
        "slow-fast": f"{setting.slow_nats:g} nat that a sequence keeps and {setting.fast_nats:g} that each step draws",
        "autoregressive": f"{setting.nats:g} nats in each step of an AR(1) with phi = {setting.phi:g}",
    }[setting.source]
    title = f"Negative-sampling strategies with the exact critic, B x T = {setting.batch} x {setting.length}: {structure}; nats."
    return Report("negatives", title, rows, {"command": "negatives", **asdict(setting)})


@final
class _Watched:
    """One strategy, and what came of it."""

    def __init__(self, member: Member, embedding_size: int) -> None:
        self.member = member
        self.strategy: Negatives = member.build()
        for each in self.strategy.each():
            each.allocate(embedding_size)
        self.found: dict[str, list[Tensor]] = {}
        self.reason = ""

    def see(self, contrast: Contrast, seed: Tensor, sequences: Sequences) -> None:
        if self.reason:
            return
        try:
            chosen = self.strategy(contrast, seed)
        except UserError as reason:
            if self.member.by_hand:
                raise
            self.reason = str(reason)
            return
        if not self.found:
            _check(self.member, chosen, contrast)
            if bool(alone(chosen.log_weights).any()):
                self._leave_alone()
                return
        for name, value in _meters(chosen, sequences).items():
            self.found.setdefault(name, []).append(value)

    def _leave_alone(self) -> None:
        """Refuse, if it was asked for, what has no sense here; else its row says so."""
        self.reason = f"{self.member.name} leaves a row without a negative; every anchor must keep one candidate beside its positive."
        if self.member.named or self.member.by_hand:
            raise UserError(self.reason)

    def after_update(self, contrast: Contrast) -> None:
        assert contrast.source is not None
        for each in self.strategy.each():
            if each.is_stateful:
                each.after_update(contrast.source.embeddings, contrast.candidates)

    def row(self, sequences: Sequences, times: int) -> Row:
        truth = sequences.of_drive(times) if self._foresees() else sequences.pairs.truth
        settings = ", ".join(f"{name} = {value}" for name, value in self._settings().items())
        if self.reason:
            return Row("strategy", self.member.name, truth=truth, also={"settings": settings}, note=f"not measured: {self.reason}")
        below = self.strategy.bounds_below()
        return Row(
            "strategy",
            self.member.name,
            truth=truth,
            **statistics(torch.stack(self.found["estimate"])),
            ceiling=average(self.found["ceiling"]) if self.strategy.keeps_positive else None,
            accuracy=average(self.found["accuracy"]),
            side="lower" if below else "neither",
            also={
                "settings": settings,
                "false_negatives": average(self.found["false_negatives"]),
                "false_negative_mass": average(self.found["false_negative_mass"]),
            },
            note=" ".join(["" if below else self._why(), OF_DRIVE if self._foresees() else ""]).strip(),
        )

    def _foresees(self) -> bool:
        """Whether its negatives are what else could have come of the history."""
        return any(each.anchor == "prior" for each in self.strategy.each())

    def _settings(self) -> dict[str, object]:
        """What differs from the defaults."""
        return {**self.member.given, **self.member.bound.get(self.member.name, {})}

    def _why(self) -> str:
        """What its docstring says of why the estimate is no lower bound."""
        said = [each for each in SENTENCE_END.split(" ".join(self.member.component.doc.split())) if ABOUT_BOUNDS.search(each)]
        return f"no bound: {said[-1]}" if said else "no bound."


def _contrast(setting: Setting, sequences: Sequences, number: int, generator: torch.Generator) -> Contrast:
    """One batch of sequences, each an episode of its own; and steps of sequences that are drawn for one step each."""
    whole, seen = sequences.draw(setting.batch, setting.length, generator)
    latents, observations = whole.flatten(0, 1), seen.flatten(0, 1)
    _, drawn = (part.flatten(0, 1) for part in sequences.draw(DRAWS, 1, generator))
    first = number * (setting.batch + DRAWS)
    episode = torch.arange(first, first + setting.batch)[:, None].expand(setting.batch, setting.length)

    def predict(drive: Tensor, anchors: Origin) -> Latent:
        return _latent(sequences.driven(whole, drive.unflatten(0, whole.shape[:2])).flatten(0, 1))

    source = Source(
        latents=_latent(latents),
        embeddings=observations,
        score=lambda given, candidates: sequences.pairs.log_ratio(given.stochastic, candidates),
        score_pairs=lambda given, candidates: sequences.pairs.log_ratio_of_pairs(given.stochastic, candidates),
        action=sequences.drive(whole).flatten(0, 1),
        is_first=torch.zeros(len(latents), dtype=torch.bool),
        predict=predict,
        extra=ExtraCandidates(embedding=drawn, episode=torch.arange(DRAWS) + first + setting.batch),
    )
    return Contrast.of(sequences.pairs.log_ratio(latents, observations), Origin.of(episode), source)


def _latent(value: Tensor) -> Latent:
    return Latent(deterministic=value[:, :0], stochastic=value, statistics={})


def _check(member: Member, chosen: object, given: Contrast) -> None:
    """Refuse what no bound can use, by name."""
    if not isinstance(chosen, Contrast):
        raise UserError(f"{member.name}.choose gives a {type(chosen).__name__}, and must give a Contrast, as contrast.keep(..) does.")
    shapes = [[*part.shape] for part in (chosen.scores, chosen.log_weights)]
    columns = len(chosen.candidates.row)
    if any(shape != [given.scores.shape[0], columns] for shape in shapes):
        raise UserError(
            f"{member.name}.choose gives scores of shape {shapes[0]} and log-weights of shape {shapes[1]}; both must be "
            f"{[given.scores.shape[0], columns]}: a row for each anchor, a column for each candidate."
        )
    if bool((chosen.log_weights.isnan() | chosen.log_weights.isposinf()).any()) or not bool(chosen.scores.isfinite().all()):
        raise UserError(f"{member.name}.choose gives scores or log-weights that are nan or infinite; a log-weight is a number or -inf.")


def _meters(chosen: Contrast, sequences: Sequences) -> dict[str, Tensor]:
    """False negatives are those of the own sequence that are alike; they weigh as much as the strategy lets them.

    They lie in the blocks along the diagonal, which is all of the matrix that is looked at for them.
    """
    loss, number = infonce_loss(chosen.scores, chosen.log_weights), log_candidates(chosen.log_weights)
    rows, times = chosen.anchors.rows, chosen.anchors.times
    scores, weights = (_own(part, rows, times) for part in (chosen.scores, chosen.log_weights))
    step = torch.arange(times)
    apart = (step[:, None] - step[None, :]).repeat(rows, 1)
    false = sequences.alike(apart) & (apart != 0)
    partition = (loss + chosen.scores.diagonal())[:, None]
    negative = chosen.log_weights.exp().sum() - chosen.log_weights.diagonal().exp().sum()
    return {
        "estimate": (number - loss).mean(),
        "accuracy": accuracy(chosen.scores, chosen.log_weights),
        "ceiling": number.mean(),
        "false_negatives": (weights.exp() * false).sum() / negative.clamp(min=torch.finfo(negative.dtype).tiny),
        "false_negative_mass": ((weighted(scores, weights) - partition).exp() * false).sum() / (rows * times),
    }


def _own(matrix: Float[Tensor, "N M"], rows: int, times: int) -> Float[Tensor, "N T"]:
    """What each anchor has of its own sequence: the batch comes first among the candidates."""
    blocks = rearrange(matrix[:, : rows * times], "(b t) (c u) -> b c t u", b=rows, c=rows)
    return rearrange(blocks.diagonal(dim1=0, dim2=1), "t u b -> (b t) u")
