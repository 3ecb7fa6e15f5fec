"""Eq. 15 of the note: latent and observation predict each other, against the other observations of the batch."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, Literal, cast, final

import torch
import torch.nn.functional as F
from dm_env import specs
from einops import rearrange
from torch import Tensor, nn

from framework import objectives
from framework.bounds.base import Bound
from framework.contrastive.compatibility import check_axis, check_bounds, check_joins_nothing, check_parts
from framework.contrastive.contrast import Axis, Contrast, Source
from framework.contrastive.metrics import contrastive_metrics, diagnostics
from framework.contrastive.origin import Origin
from framework.contrastive.pairs import Make, Pairs, Told, blocks_of, tell
from framework.critics.base import Critic, UnitCritic
from framework.data import ActionSpec, Factory, InferredBatch, Latent, LatentSpec, Losses, Metrics, Pictures, is_image
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional import contrastive
from framework.functional.random import Key
from framework.negatives.base import Negatives
from framework.objectives import contrastive_pictures, imagination_pictures
from framework.objectives.base import Objective, predict, predict_at
from framework.objectives.imagination_pictures import Bank


@final
@objectives.register
class InfoNCE(Objective):
    """`-f(s_i, o_i) + log sum_j exp(f(s_i, o_j) + w_ij)`, the InfoNCE bound on `I(s; o)`, instead of decoding pixels.

    *Dream to Control*, Appendix B; Poole et al. (2019). On the row axis the latent is fixed and the sum runs over observations, as in
    the paper; the code released with it sums over latents, the column axis. A density over latents is right on rows alone:
    `column_as_released` asks for the other by name. `anchor` is the latent that is told apart: the posterior, or the prior, which has
    not seen the observation that it must find. `bound` is what is trained in place of InfoNCE's own; `diagnostics` are others whose
    estimates are only logged. A critic with several offsets has the mean of their losses, zero where an episode ends before.

    Scores, weights and gradients are matrices of all anchors and candidates, in a batch of up to `chunk_above` steps. A larger one is
    looked at in blocks of anchors, whose scores are computed again for the gradient; no matrix then has more than `chunk_above^2 / 4`
    numbers, beside what a strategy adds. What a strategy draws is drawn for each block. Pictures and diagnostics show the first block.

    Gradients: to the latents always, and so to the encoder through the posterior; `embedding_gradient = 'stop'` detaches the
    candidates, so that the encoder cannot make itself trivial to predict. Those of a slow encoder never get any.
    """

    losses: ClassVar[tuple[str, ...]] = ("infonce",)

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        observation: Mapping[str, specs.Array],
        action: ActionSpec,
        scale: float = 1.0,
        critic: Factory[Critic],
        negatives: Factory[Negatives],
        bound: Factory[Bound],
        diagnostics: Sequence[Factory[Bound]] = (),
        anchor: Literal["posterior", "prior"] = "posterior",
        axis: Literal["row", "column", "symmetric", "column_as_released"] = "row",
        embedding_gradient: Literal["flow", "stop"] = "flow",
        chunk_above: int = 16_384,
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size, observation=observation, action=action, scale=scale)
        if chunk_above < 1:
            raise UserError(
                f"InfoNCE.chunk_above = {chunk_above} must be at least 1: the steps of the largest batch with one score matrix."
            )
        self.critic: Critic = critic(latent=latent, embedding_size=embedding_size)
        self.negatives: Negatives = negatives()
        candidate_size = embedding_size if self.critic.candidate == "embedding" else latent.stochastic
        for each in self.negatives.each():
            each.allocate(candidate_size)
        self.bound: Bound = bound(latent=latent, embedding_size=candidate_size)
        self.diagnostics = nn.ModuleList([each(latent=latent, embedding_size=candidate_size) for each in diagnostics])
        for scorer in self.critic.each_offset().values():
            check_axis(scorer, axis)
        check_parts(self.critic, self.negatives, anchor, axis)
        check_bounds(self.bound, self.diagnostics, axis)
        several: Mapping[str, tuple[Axis, ...]] = {"row": ("row",), "symmetric": ("row", "column")}
        self.axes = several.get(axis, ("column",))
        self.anchor, self.embedding_gradient, self.chunk_above = anchor, embedding_gradient, chunk_above
        self.images = [name for name, spec in observation.items() if is_image(spec)]

    @property
    def slow_rate(self) -> float | None:
        return self.negatives.slow_rate

    @property
    def estimate_key(self) -> str:
        """The metric of the estimate, which says so where it is no lower bound on the mutual information."""
        return "contrastive/estimate" + _mark(self.bound, self.negatives)

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        losses, estimates, standings, counted = [], [], [], []
        for pairs, blocks in self._contrasts(inferred, dynamics):
            loss, estimate, standing = tell(self._weigh, blocks, key)
            found = loss.where(pairs.valid, 0.0)
            losses.append(F.pad(rearrange(found, "(b t) -> b t", b=inferred.batch.reward.shape[0]), (0, pairs.offset)))
            with torch.no_grad():
                estimates.append(contrastive.mean_where(estimate, pairs.valid))
                standings.append(standing)
                counted.append(pairs.valid)
        with torch.no_grad():
            metrics = {self.estimate_key: torch.stack(estimates).mean(), **contrastive_metrics(standings, counted)}
        return {"infonce": torch.stack(losses).mean(dim=0)}, metrics

    @torch.no_grad()
    def after_update(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> None:
        if self.bound.is_stateful:
            for _, blocks in self._contrasts(inferred, dynamics):
                self.bound.after_update(self._choose(blocks[0], key))
        remembering = [each for each in self.negatives.each() if each.is_stateful]
        if remembering:
            embeddings = rearrange(self._candidates(inferred), "b t e -> (b t) e")
            for each in remembering:
                each.after_update(embeddings, Origin.of(inferred.batch.episode))

    def diagnose(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Metrics:
        _, contrast, valid = self._first(inferred, dynamics, key)
        flat = rearrange(inferred.embedding, "b t e -> (b t) e")
        bounds = cast(Sequence[Bound], self.diagnostics)
        estimates = [contrastive.mean_where(each.estimate(contrast), valid) for each in bounds]
        return {
            **diagnostics("InfoNCE", self.negatives, contrast, inferred.embedding),
            **self.critic.diagnose(flat),
            **dict(zip(_keys(bounds, self.negatives), estimates, strict=True)),
        }

    def pictures(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Pictures:
        """Of the smallest offset; an agent that does not see one image has the scores alone."""
        offset, contrast, valid = self._first(inferred, dynamics, key)
        pictures = {"contrastive/scores": contrastive_pictures.scores(contrast, self.axes[0])}
        if len(self.images) != 1:
            return pictures
        images = inferred.batch.observation[self.images[0]]
        later = rearrange(images[:, offset:], "b t y x c -> (b t) y x c")
        pictures["contrastive/which"] = contrastive_pictures.which(contrast, valid, later, self.axes[0], offset)
        bank, critic = self._bank(inferred, images), self.critic.each_offset()[offset]
        imagined = imagination_pictures.imagine(inferred, dynamics, images, bank, critic, offset)
        return pictures if imagined is None else pictures | {"contrastive/imagine": imagined}

    def _bank(self, inferred: InferredBatch, images: Tensor) -> Bank:
        """Every image of the batch, and those that `Replay.extra` drew where the critic scores embeddings."""
        bank = Bank(
            candidates=rearrange(self._candidates(inferred), "b t e -> (b t) e"),
            images=rearrange(images, "b t y x c -> (b t) y x c"),
            episode=rearrange(inferred.batch.episode, "b t -> (b t)"),
        )
        if self.critic.candidate != "embedding" or inferred.extra is None or inferred.batch.extra is None:
            return bank
        return bank.joined(inferred.extra.embedding, inferred.batch.extra.observation[self.images[0]], inferred.extra.episode)

    def _weigh(self, make: Make, key: Key) -> Told:
        contrast = self._choose(make, key)
        loss, estimate = self.bound.loss_and_estimate(contrast)
        with torch.no_grad():
            return loss, estimate, contrast.standing

    def _choose(self, make: Make, key: Key) -> Contrast:
        chosen: Contrast = self.negatives(make(), key)
        return chosen

    def _first(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[int, Contrast, Tensor]:
        """The first contrast, of the first block of its anchors, and which of those are valid."""
        pairs, blocks = next(self._contrasts(inferred, dynamics))
        contrast = self._choose(blocks[0], key)
        return pairs.offset, contrast, pairs.valid[: contrast.scores.shape[0]]

    def _contrasts(self, inferred: InferredBatch, dynamics: Dynamics) -> Iterator[tuple[Pairs, list[Make]]]:
        """For each offset and axis, what makes the contrast of each block of anchors: of all in one, where the batch is not too large."""
        in_blocks = inferred.batch.reward.numel() > self.chunk_above
        if in_blocks:
            check_joins_nothing(self.bound, inferred.batch.reward.shape, self.chunk_above)
        for pairs in self._pairs(inferred, dynamics):
            anchors = pairs.valid.shape[0]
            blocks = blocks_of(anchors, self.chunk_above) if in_blocks else [slice(0, anchors)]
            for made in pairs.contrasts(self.axes, blocks):
                yield pairs, made

    def _pairs(self, inferred: InferredBatch, dynamics: Dynamics) -> Iterator[Pairs]:
        """The latents and candidates of each offset, and which have a positive in their own episode."""
        latents = {"posterior": inferred.posterior, "prior": inferred.prior}[self.anchor].without_past()
        candidates = self._candidates(inferred)
        for offset, critic in self.critic.each_offset().items():
            last = candidates.shape[1] - offset
            if last < 1:
                raise UserError(
                    f"{type(self.critic).__name__}.offsets has {offset}, and sequences are {candidates.shape[1]} steps long: no step has "
                    "an observation so much later; bind a longer Replay.length or smaller offsets."
                )
            origin = Origin.of(inferred.batch.episode[:, offset:])
            valid = rearrange(inferred.batch.episode[:, :last] == inferred.batch.episode[:, offset:], "b t -> (b t)")
            anchors = latents.before(last).flatten()
            embeddings = rearrange(candidates[:, offset:], "b t e -> (b t) e")
            yield Pairs(
                offset=offset,
                critic=critic,
                latents=anchors,
                embeddings=embeddings,
                origin=origin,
                valid=valid,
                source=partial(self._source, inferred, dynamics, anchors, embeddings, critic),
            )

    def _candidates(self, inferred: InferredBatch) -> Tensor:
        embedding = inferred.embedding if inferred.slow_embedding is None or self.slow_rate is None else inferred.slow_embedding
        chosen = embedding if self.critic.candidate == "embedding" else inferred.posterior.stochastic
        return chosen.detach() if self.embedding_gradient == "stop" else chosen

    def _source(self, inferred: InferredBatch, dynamics: Dynamics, anchors: Latent, embeddings: Tensor, critic: Critic) -> Source:
        rows, extra = inferred.batch.reward.shape[0], inferred.extra
        if extra is not None and self.embedding_gradient == "stop":
            extra = replace(extra, embedding=extra.embedding.detach())

        def expect(action: Tensor, steps: Origin) -> Latent:
            if action.shape[0] < inferred.batch.reward.numel():
                return predict_at(inferred, dynamics, action, steps)
            return predict(inferred, dynamics, rearrange(action, "(b t) a -> b t a", b=rows))

        return Source(
            latents=anchors,
            embeddings=embeddings,
            score=critic,
            score_pairs=critic.score_pairs,
            units=critic.units if isinstance(critic, UnitCritic) else None,
            extra=extra,
            action=rearrange(inferred.batch.action, "b t a -> (b t) a"),
            is_first=rearrange(inferred.batch.is_first, "b t -> (b t)"),
            predict=expect,
        )


def _mark(bound: Bound, negatives: Negatives) -> str:
    """What the name of a metric ends in where its number may lie above the mutual information."""
    return "" if negatives.bounds_below() and bound.side == "lower" else "_no_bound"


def _keys(bounds: Iterable[Bound], negatives: Negatives) -> list[str]:
    """A metric for each, in their order; a class that is there twice is numbered from its second on."""
    keys, seen = [], Counter[str]()
    for bound in bounds:
        name = type(bound).__name__
        seen[name] += 1
        number = f"_{seen[name]}" if seen[name] > 1 else ""
        keys.append(f"contrastive/{name}{number}" + ("_upper_bound" if bound.side == "upper" else _mark(bound, negatives)))
    return keys
