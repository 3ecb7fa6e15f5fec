"""Eq. 15 of the note: latent and observation predict each other, against the other observations of the batch."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, cast, final

import torch
import torch.nn.functional as F
from dm_env import specs
from einops import rearrange
from torch import Tensor, nn

from framework import objectives
from framework.bounds.base import Bound
from framework.contrast import Contrast, Source
from framework.critics.base import Critic, UnitCritic
from framework.data import ActionSpec, Factory, Latent, LatentSpec, Losses, Metrics, Origin, Pictures, is_image
from framework.errors import UserError
from framework.functional import contrastive
from framework.functional.hashing import Seed
from framework.negatives.base import Negatives
from framework.objectives import contrastive_pictures, imagination_pictures
from framework.objectives.base import Filtered, Objective
from framework.objectives.contrasting import diagnosed, meters
from framework.objectives.contrastive_pictures import Axis
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
        critic: Factory[Critic],
        negatives: Factory[Negatives],
        bound: Factory[Bound],
        diagnostics: Sequence[Factory[Bound]] = (),
        anchor: Literal["posterior", "prior"] = "posterior",
        axis: Literal["row", "column", "symmetric", "column_as_released"] = "row",
        embedding_gradient: Literal["flow", "stop"] = "flow",
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size, observation=observation, action=action)
        self.critic: Critic = critic(latent=latent, embedding_size=embedding_size)
        self.negatives: Negatives = negatives()
        candidate_size = embedding_size if self.critic.candidate == "embedding" else latent.stochastic
        for each in self.negatives.each():
            each.allocate(candidate_size)
        self.bound: Bound = bound(latent=latent, embedding_size=candidate_size)
        self.diagnostics = nn.ModuleList([each(latent=latent, embedding_size=candidate_size) for each in diagnostics])
        for scorer in self.critic.each_offset().values():
            _check_axis(scorer, axis)
        _check_parts(self.critic, self.negatives, anchor, axis)
        _check_bounds(self.bound, self.diagnostics, axis)
        several: Mapping[str, tuple[Axis, ...]] = {"row": ("row",), "symmetric": ("row", "column")}
        self.axes = several.get(axis, ("column",))
        self.anchor, self.embedding_gradient = anchor, embedding_gradient
        self.images = [name for name, spec in observation.items() if is_image(spec)]

    @property
    def slow_rate(self) -> float | None:
        return self.negatives.slow_rate

    @property
    def estimate_key(self) -> str:
        """The metric of the estimate, which says so where it is no lower bound on the mutual information."""
        return "contrastive/estimate" + _mark(self.bound, self.negatives)

    def forward(self, seen: Filtered, seed: Seed) -> tuple[Losses, Metrics]:
        losses, estimates, contrasts, counted = [], [], [], []
        for offset, contrast, valid in self._contrasts(seen, seed):
            loss, estimate = self.bound.loss_and_estimate(contrast)
            losses.append(F.pad(rearrange(loss.where(valid, 0.0), "(b t) -> b t", b=seen.batch.reward.shape[0]), (0, offset)))
            with torch.no_grad():
                estimates.append(contrastive.mean_where(estimate, valid))
                contrasts.append(contrast)
                counted.append(valid)
        with torch.no_grad():
            metrics = {self.estimate_key: torch.stack(estimates).mean(), **meters(contrasts, counted)}
        return {"infonce": torch.stack(losses).mean(dim=0)}, metrics

    @torch.no_grad()
    def follow(self, seen: Filtered, seed: Seed) -> None:
        if self.bound.remembers:
            for _, contrast, _ in self._contrasts(seen, seed):
                self.bound.remember(contrast)
        remembering = [each for each in self.negatives.each() if each.remembers]
        if remembering:
            embeddings = rearrange(self._candidates(seen), "b t e -> (b t) e")
            for each in remembering:
                each.remember(embeddings, Origin.of(seen.batch.episode))

    def diagnose(self, seen: Filtered, seed: Seed) -> Metrics:
        _, contrast, valid = next(self._contrasts(seen, seed))
        flat = rearrange(seen.embedding, "b t e -> (b t) e")
        bounds = cast(Sequence[Bound], self.diagnostics)
        estimates = [contrastive.mean_where(each.estimate(contrast), valid) for each in bounds]
        return {
            **diagnosed("InfoNCE", self.negatives, contrast, seen.embedding),
            **self.critic.diagnose(flat),
            **dict(zip(_keys(bounds, self.negatives), estimates, strict=True)),
        }

    def pictures(self, seen: Filtered, seed: Seed) -> Pictures:
        """Of the smallest offset; an agent that does not see one image has the scores alone."""
        offset, contrast, valid = next(self._contrasts(seen, seed))
        pictures = {"contrastive/scores": contrastive_pictures.scores(contrast, self.axes[0])}
        if len(self.images) != 1:
            return pictures
        images = seen.batch.observation[self.images[0]]
        later = rearrange(images[:, offset:], "b t y x c -> (b t) y x c")
        pictures["contrastive/which"] = contrastive_pictures.which(contrast, valid, later, self.axes[0], offset)
        imagined = imagination_pictures.imagine(seen, images, self._bank(seen, images), self.critic.each_offset()[offset], offset)
        return pictures if imagined is None else pictures | {"contrastive/imagine": imagined}

    def _bank(self, seen: Filtered, images: Tensor) -> Bank:
        """Every image of the batch, and those that `Replay.extra` drew where the critic scores embeddings."""
        bank = Bank(
            candidates=rearrange(self._candidates(seen), "b t e -> (b t) e"),
            images=rearrange(images, "b t y x c -> (b t) y x c"),
            episode=rearrange(seen.batch.episode, "b t -> (b t)"),
        )
        if self.critic.candidate != "embedding" or seen.drawn is None or seen.batch.draws is None:
            return bank
        return bank.joined(seen.drawn.embedding, seen.batch.draws.observation[self.images[0]], seen.drawn.episode)

    def _contrasts(self, seen: Filtered, seed: Seed) -> Iterator[tuple[int, Contrast, Tensor]]:
        """One contrast for each offset and axis, and which of its anchors have a positive in their own episode."""
        latents = {"posterior": seen.posterior, "prior": seen.prior}[self.anchor].without_past()
        candidates = self._candidates(seen)
        for offset, critic in self.critic.each_offset().items():
            last = candidates.shape[1] - offset
            if last < 1:
                raise UserError(
                    f"{type(self.critic).__name__}.offsets has {offset}, and sequences are {candidates.shape[1]} steps long: no step has "
                    "an observation so much later; bind a longer Replay.length or smaller offsets."
                )
            origin = Origin.of(seen.batch.episode[:, offset:])
            valid = rearrange(seen.batch.episode[:, :last] == seen.batch.episode[:, offset:], "b t -> (b t)")
            anchors = latents.before(last).flatten()
            embeddings = rearrange(candidates[:, offset:], "b t e -> (b t) e")
            scores = critic(anchors, embeddings)
            for axis in self.axes:
                source = self._source(seen, anchors, embeddings, critic) if axis == "row" else None
                directed = scores if axis == "row" else scores.T
                yield offset, self.negatives(Contrast.of(directed, origin, source), seed), valid

    def _candidates(self, seen: Filtered) -> Tensor:
        embedding = seen.embedding if seen.slow_embedding is None or self.slow_rate is None else seen.slow_embedding
        chosen = embedding if self.critic.candidate == "embedding" else seen.posterior.stochastic
        return chosen.detach() if self.embedding_gradient == "stop" else chosen

    def _source(self, seen: Filtered, anchors: Latent, embeddings: Tensor, critic: Critic) -> Source:
        rows, drawn = seen.batch.reward.shape[0], seen.drawn
        if drawn is not None and self.embedding_gradient == "stop":
            drawn = replace(drawn, embedding=drawn.embedding.detach())

        def predict(action: Tensor) -> Latent:
            return seen.predict(rearrange(action, "(b t) a -> b t a", b=rows))

        return Source(
            latents=anchors,
            embeddings=embeddings,
            score=critic,
            score_pairs=critic.score_pairs,
            units=critic.units if isinstance(critic, UnitCritic) else None,
            drawn=drawn,
            action=rearrange(seen.batch.action, "b t a -> (b t) a"),
            is_first=rearrange(seen.batch.is_first, "b t -> (b t)"),
            predict=predict,
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


def _check_axis(critic: Critic, axis: str) -> None:
    wrong = {"latent": ("column", "symmetric"), "observation": ("row", "symmetric")}.get(critic.normalised_over or "", ())
    if axis in wrong:
        right = "row" if critic.normalised_over == "latent" else "column"
        raise UserError(
            f"InfoNCE.axis = '{axis}' does not fit {type(critic).__name__}, a density over the {critic.normalised_over}: "
            f"off its own axis the bound is wrong by nats; bind InfoNCE.axis = '{right}'"
            + (", or 'column_as_released' to ask for it by name." if right == "row" else ".")
        )


def _check_parts(critic: Critic, negatives: Negatives, anchor: str, axis: str) -> None:
    name = type(critic).__name__
    for each in critic.each_offset().values():
        if each.anchor is not None and each.anchor != anchor:
            raise UserError(
                f"{type(each).__name__} scores the {each.anchor}, and InfoNCE.anchor = '{anchor}'; bind InfoNCE.anchor = '{each.anchor}'."
            )
    wanting = [each for each in negatives.each() if each.anchor not in (None, anchor)]
    if wanting:
        told = f"{type(wanting[0]).__name__} tells the {wanting[0].anchor} apart, and InfoNCE.anchor = '{anchor}'"
        raise UserError(f"{told}; bind InfoNCE.anchor = '{wanting[0].anchor}'.")
    if not isinstance(critic, UnitCritic) and (mixing := [type(each).__name__ for each in negatives.each() if each.needs_units]):
        raise UserError(f"{mixing[0]} mixes unit vectors, and {name} has none; bind InfoNCE.critic = @critics.CosineCritic.")
    adding = [type(each).__name__ for each in negatives.each() if each.adds_candidates]
    if adding and axis != "row":
        raise UserError(f"{adding[0]} adds candidate observations, which only the row axis sums over; bind InfoNCE.axis = 'row'.")
    if adding and critic.each_offset().keys() != {0}:
        raise UserError(f"{adding[0]} adds candidates for one offset, and {name} has several; bind another InfoNCE.critic or negatives.")


def _check_bounds(bound: Bound, diagnostics: Iterable[nn.Module], axis: str) -> None:
    name = type(bound).__name__
    if bound.side == "upper":
        raise UserError(f"{name} bounds from above, and cannot be trained; put it into InfoNCE.diagnostics.")
    if bound.needs_source and axis != "row":
        raise UserError(
            f"{name} reads the pairs themselves, which only the row axis has; bind InfoNCE.axis = 'row' or another InfoNCE.bound."
        )
    learning = [type(each).__name__ for each in diagnostics if any(True for _ in each.parameters())]
    if learning:
        raise UserError(
            f"InfoNCE.diagnostics has {learning[0]}, whose own parameters nothing would train; leave it out, or bind it as InfoNCE.bound."
        )
