"""The contrastive bound: latent and observation predict each other, against the other observations of the batch."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, Literal, cast, final

import torch
from einops import rearrange
from torch import Tensor, nn

from framework import objectives
from framework.bounds.base import Bound
from framework.contrastive.compatibility import check_axis, check_batch, check_bounds, check_joins_nothing, check_parts
from framework.contrastive.contrast import Axis, Contrast, Source
from framework.contrastive.metrics import ContrastiveStats, contrastive_metrics, diagnostics
from framework.contrastive.origin import Origin
from framework.contrastive.pairs import Evaluation, PositivePairs, blocks_of, evaluate_in_blocks, predict
from framework.critics.base import Critic, UnitCritic
from framework.data import ExtraCandidates, Factory, InferredBatch, Losses, Metrics, Pictures
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional import ranks
from framework.functional.contrastive import mean_where
from framework.functional.random import Key
from framework.negatives.base import Negatives
from framework.objectives.base import Objective, of_pairs, same_episode
from framework.objectives.contrastive_pictures import score_matrix, which
from framework.objectives.imagination_pictures import ImageBank, imagine
from framework.specs import ModelSpecs, is_image


@final
@objectives.register
class InfoNCE(Objective):
    """`-f(s_i, o_i) + log sum_j exp(f(s_i, o_j) + w_ij)`, the InfoNCE bound on `I(s; o)`, instead of decoding pixels.

    *Dream to Control*, Appendix B; Eq. 7 of docs/guides/derivation.md; Poole et al. (2019). On the row axis the latent is fixed and the
    sum runs over observations, as in the paper; the code released with it sums over latents, the column axis. A density over latents is
    right on rows alone: `column_as_released` asks for the other by name. `anchor` is the latent that is contrasted: the posterior, or
    the prior, which does not depend on the observation. `bound` is what is trained in place of InfoNCE's own; `diagnostics` are others
    whose estimates are only logged. `offsets = (1, 2, 3)` is contrastive predictive coding (van den Oord et al., 2018): a critic of its
    own for each offset `k` scores `f_k(s_t, o_{t+k})`, and the loss is the mean over offsets of the mean over the pairs of one episode.

    A batch of more than `chunk_above` steps is evaluated in blocks of anchors, whose scores are computed again for the gradient: no matrix
    has more than `chunk_above^2 / 4` numbers, without the candidates that a strategy adds. Pictures and diagnostics show the first block.

    Where several ranks train, the candidates of an anchor are the steps and the extra draws of all of them (`gather = True`), as in one
    process with all rows, or of its own rank alone (`gather = False`). A queue has the steps of all ranks in either case.

    Gradients: to the latents always, and so to the encoder through the posterior; `embedding_gradient = 'stop'` detaches the
    candidates, so that the encoder cannot make itself trivial to predict. Embeddings of a slow encoder never have any. Candidates of
    another rank have theirs there.
    """

    losses: ClassVar[tuple[str, ...]] = ("infonce",)

    def __init__(
        self,
        *,
        model: ModelSpecs,
        scale: float = 1.0,
        critic: Factory[Critic],
        negatives: Factory[Negatives],
        bound: Factory[Bound],
        diagnostics: Sequence[Factory[Bound]] = (),
        anchor: Literal["posterior", "prior"] = "posterior",
        axis: Literal["row", "column", "symmetric", "column_as_released"] = "row",
        offsets: tuple[int, ...] = (0,),
        embedding_gradient: Literal["flow", "stop"] = "flow",
        chunk_above: int = 16_384,
        gather: bool = True,
    ) -> None:
        super().__init__(model=model, scale=scale)
        _check_settings(offsets, chunk_above)
        self.offsets = tuple(sorted(offsets))
        self.reach = ("offsets", self.offsets[-1])
        self.critics = nn.ModuleList([critic(latent=model.latent, embedding_size=model.embedding_size) for _ in self.offsets])
        self.negatives: Negatives = negatives()
        candidate_size = model.embedding_size if self.critic.candidate == "embedding" else model.latent.stochastic
        for strategy in self.negatives.each():
            strategy.allocate(candidate_size)
        self.bound: Bound = bound(latent=model.latent, embedding_size=candidate_size)
        self.diagnostics = nn.ModuleList([other(latent=model.latent, embedding_size=candidate_size) for other in diagnostics])
        check_axis(self.critic, axis)
        check_parts(self.critic, self.negatives, anchor=anchor, axis=axis, offsets=self.offsets)
        check_bounds(self.bound, self.diagnostics, axis)
        several: Mapping[str, tuple[Axis, ...]] = {"row": ("row",), "symmetric": ("row", "column")}
        self.axes = several.get(axis, ("column",))
        self.anchor, self.embedding_gradient, self.chunk_above, self.gather = anchor, embedding_gradient, chunk_above, gather
        self.images = [name for name, spec in model.observation.items() if is_image(spec)]
        self.slow_rate = self.negatives.slow_rate

    @property
    def _sources(self) -> int:
        """The number of ranks from which candidates come."""
        return ranks.size() if self.gather else 1

    @property
    def critic(self) -> Critic:
        """The critic of the smallest offset."""
        return cast(Critic, self.critics[0])

    @property
    def is_lower_bound(self) -> bool:
        return self.bound.side == "lower" and self.negatives.bounds_below()

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        losses, stats, valid, rows = [], list[ContrastiveStats](), [], inferred.batch.reward.shape[0]
        for offset, pairs, blocks in self._pairs(inferred, dynamics):
            for axis in self.axes:
                if len(blocks) == 1:
                    anchor_losses, anchor_stats = self._evaluate(pairs.contrast(axis, blocks[0]), key)
                else:
                    anchor_losses, anchor_stats = evaluate_in_blocks(self._evaluate, pairs, axis, blocks, key)
                loss, inside = (rearrange(each, "(b t) -> b t", b=rows) for each in (anchor_losses, pairs.valid))
                losses.append(of_pairs(loss, inside, offset))
                stats.append(anchor_stats)
                valid.append(pairs.valid)
        metrics = contrastive_metrics(stats, valid, is_lower_bound=self.is_lower_bound)
        return {"infonce": torch.stack(losses).mean(dim=0)}, metrics

    def check(self, *, rows: int, times: int, extra: int) -> None:
        self.check_length(times)
        rows, extra = rows * self._sources, extra * self._sources
        check_joins_nothing(self.bound, rows, times, self.chunk_above)
        check_batch("InfoNCE", self.negatives, rows=rows, times=times - self.offsets[-1], extra=extra)

    @torch.no_grad()
    def after_update(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> None:
        if self.bound.is_stateful:
            for _, pairs, blocks in self._pairs(inferred, dynamics):
                for axis in self.axes:
                    self.bound.after_update(self.negatives(pairs.contrast(axis, blocks[0]), key))
        candidates = ranks.gather(rearrange(self._candidates(inferred), "b t e -> (b t) e"))
        origin = Origin.of(inferred.batch.episode).of_all_ranks(ranks.gather)  # in one order, so that all ranks have one queue
        for strategy in self.negatives.each():
            strategy.after_update(candidates, origin)

    def diagnose(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Metrics:
        contrast, valid = self._first(inferred, dynamics, key)
        metrics = diagnostics("InfoNCE", self.negatives, contrast)
        metrics |= self.critic.diagnose(rearrange(inferred.embedding, "b t e -> (b t) e"))
        numbers = Counter[str]()
        for bound in cast(Sequence[Bound], self.diagnostics):
            name = type(bound).__name__
            numbers[name] += 1
            name += f"_{numbers[name]}" if numbers[name] > 1 else ""
            metrics[f"contrastive/{name}"] = mean_where(bound.estimate(contrast), valid)
        return metrics

    def pictures(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Pictures:
        """Pictures of the first contrast; an agent that does not observe exactly one image has the score matrix alone."""
        contrast, valid = self._first(inferred, dynamics, key)
        axis, offset, pictures = self.axes[0], self.offsets[0], {"contrastive/scores": score_matrix(contrast, self.axes[0])}
        if len(self.images) == 1:
            images = inferred.batch.observation[self.images[0]]
            pictures["contrastive/which"] = which(contrast, valid, images[:, offset:], axis, offset)
            with_extra = self.critic.candidate == "embedding"
            bank = ImageBank.of(inferred, self._candidates(inferred), self.images[0], with_extra=with_extra)
            imagined = imagine(inferred, dynamics, images, bank, self.critic, offset)
            pictures |= {} if imagined is None else {"contrastive/imagine": imagined}
        return pictures

    def _contrast(self, inferred: InferredBatch, dynamics: Dynamics | None, key: Key) -> Contrast:
        return self._first(inferred, dynamics, key)[0]

    def _evaluate(self, contrast: Contrast, key: Key) -> Evaluation:
        """Select the negatives of each anchor, and compute the bound."""
        contrast = self.negatives(contrast, key)
        loss, estimate = self.bound.loss_and_estimate(contrast)
        return loss, ContrastiveStats.of(contrast, estimate)

    def _first(self, inferred: InferredBatch, dynamics: Dynamics | None, key: Key) -> tuple[Contrast, Tensor]:
        """The contrast of the first block of anchors of the smallest offset, and which of those are valid."""
        _, pairs, blocks = next(self._pairs(inferred, dynamics))
        return self.negatives(pairs.contrast(self.axes[0], blocks[0]), key), pairs.valid[blocks[0]]

    def _pairs(self, inferred: InferredBatch, dynamics: Dynamics | None) -> Iterator[tuple[int, PositivePairs, list[slice]]]:
        """Each offset with its pairs and the blocks of anchors in which they are evaluated, one where the batch is not too large."""
        rows, times = inferred.batch.reward.shape
        steps = rows * self._sources * times
        check_joins_nothing(self.bound, rows * self._sources, times, self.chunk_above)
        for offset, critic in zip(self.offsets, cast(Sequence[Critic], self.critics), strict=True):
            episode = inferred.batch.episode
            origin = Origin.of(episode[:, offset:])
            pairs = PositivePairs(
                critic=critic,
                source=self._source(inferred, dynamics, critic, offset),
                origin=origin.of_all_ranks() if self.gather else origin,
                valid=rearrange(same_episode(episode, offset), "b t -> (b t)"),
            )
            anchors = rows * (times - offset)
            candidates = anchors * self._sources
            yield offset, pairs, blocks_of(anchors, candidates, self.chunk_above) if steps > self.chunk_above else [slice(0, anchors)]

    def _source(self, inferred: InferredBatch, dynamics: Dynamics | None, critic: Critic, offset: int) -> Source:
        """The inputs of the scores. What an axis sums over comes from all ranks, this one's first."""
        latents = {"posterior": inferred.posterior, "prior": inferred.prior}[self.anchor].without_past()
        latents = latents.before(inferred.batch.reward.shape[1] - offset).flatten()
        embeddings = rearrange(self._candidates(inferred)[:, offset:], "b t e -> (b t) e")
        action, is_first = (rearrange(each, "b t ... -> (b t) ...") for each in (inferred.batch.action, inferred.batch.is_first))
        extra = inferred.extra
        if extra is not None and self.embedding_gradient == "stop":
            extra = replace(extra, embedding=extra.embedding.detach())
        if extra is not None and self.gather:
            extra = ExtraCandidates(embedding=ranks.gather(extra.embedding), episode=ranks.gather(extra.episode))
        return Source(
            latents=latents.map(self._shared) if "column" in self.axes else latents,
            embeddings=self._shared(embeddings) if "row" in self.axes else embeddings,
            score=critic,
            score_pairs=critic.score_pairs,
            units=critic.units if isinstance(critic, UnitCritic) else None,
            extra=extra,
            action=self._shared(action),
            is_first=self._shared(is_first),
            reward=self._shared(rearrange(inferred.batch.reward[:, offset:], "b t -> (b t)")),
            predict=None if dynamics is None else partial(predict, inferred, dynamics),
        )

    def _shared(self, rows: Tensor) -> Tensor:
        return ranks.gather_own_first(rows) if self.gather else rows

    def _candidates(self, inferred: InferredBatch) -> Tensor:
        embedding = inferred.embedding if inferred.slow_embedding is None or self.slow_rate is None else inferred.slow_embedding
        candidates = embedding if self.critic.candidate == "embedding" else inferred.posterior.stochastic
        return candidates.detach() if self.embedding_gradient == "stop" else candidates


def _check_settings(offsets: tuple[int, ...], chunk_above: int) -> None:
    if not offsets or min(offsets) < 0 or len({*offsets}) < len(offsets):
        raise UserError(f"InfoNCE.offsets = {offsets} must be different steps of 0 or more, at least one, as in (1, 2, 3).")
    if chunk_above < 1:
        raise UserError(f"InfoNCE.chunk_above = {chunk_above} must be at least 1: the steps of the largest batch with one score matrix.")
