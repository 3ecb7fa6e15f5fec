"""The contract of a critic: a contrastive score, never a value function."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.contrastive.contrast import UnitVectors
from framework.data import Latent, Metrics
from framework.errors import UserError
from framework.functional.precision import full_precision
from framework.specs import LatentKind, LatentSpec


class Critic(nn.Module, ABC):
    """Scores `f(s_i, o_j)` of every latent with every candidate embedding, in float32 under any precision.

    `normalized_over`: what a density critic sums to one over; `latent` is right on the row axis alone, `observation` on the column axis
    alone, None on both. `bounded`: scores stay in a range that does not grow in training. `anchor`: the latent that is needed, where only
    one makes sense. `candidate`: embeddings of `embedding_size`, or the stochastic parts of posteriors. `cost`: the work for N latents
    and M candidates, in words. `takes_latent`: the kinds of latent that it scores; the constructor refuses others.
    """

    derived: ClassVar[tuple[str, ...]] = ("latent", "embedding_size")
    normalized_over: ClassVar[Literal["latent", "observation"] | None] = None
    bounded: ClassVar[bool] = False
    anchor: ClassVar[Literal["posterior", "prior"] | None] = None
    candidate: ClassVar[Literal["embedding", "stochastic"]] = "embedding"
    cost: ClassVar[str]
    takes_latent: ClassVar[tuple[LatentKind, ...]] = ("gaussian", "categorical")

    @abstractmethod
    def __init__(self, *, latent: LatentSpec, embedding_size: int) -> None:
        super().__init__()
        if latent.kind not in self.takes_latent:
            raise UserError(
                f"{type(self).__name__} takes a latent that is {' or '.join(self.takes_latent)}, and the dynamics gives a {latent.kind} "
                "one; bind another critic or another Agent.dynamics."
            )

    def forward(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        with full_precision(embeddings.device):
            scores = self.score(latents.map(Tensor.float), embeddings.float())
        _check_form(self, scores, (latents.stochastic.shape[0], embeddings.shape[0]))
        return scores

    @abstractmethod
    def score(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        """The scores of float32 latents `[N, ..]` and float32 embeddings."""

    def score_pairs(self, latents: Latent, embeddings: Float[Tensor, "N E"]) -> Float[Tensor, " N"]:
        """The scores `f(s_i, o_i)` alone: by default as expensive as all pairs."""
        return self(latents, embeddings).diagonal()

    def diagnose(self, embeddings: Float[Tensor, "M E"]) -> Metrics:
        """Metrics of this critic's own, computed once per logging interval."""
        return {}


class UnitCritic(Critic):
    """A critic whose scores are `scale * <u(s_i), v(o_j)>` of unit vectors, so that candidates can be mixed between the vectors."""

    bounded: ClassVar[bool] = True

    @abstractmethod
    def embed_latents(self, latents: Latent) -> Float[Tensor, "N S"]:
        """A unit vector for each float32 latent."""

    @abstractmethod
    def embed_candidates(self, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "M S"]:
        """A unit vector for each float32 embedding."""

    @abstractmethod
    def scale(self) -> Float[Tensor, ""]:
        """One over the temperature."""

    def score(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        return self.scale() * self.embed_latents(latents) @ self.embed_candidates(embeddings).T

    def score_pairs(self, latents: Latent, embeddings: Float[Tensor, "N E"]) -> Float[Tensor, " N"]:
        units = self.units(latents, embeddings)
        return units.scale * (units.latents * units.candidates).sum(dim=-1)

    @final
    def units(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> UnitVectors:
        """The unit vectors of both sides and the scale, in float32 under any precision."""
        with full_precision(embeddings.device):
            return UnitVectors(self.embed_latents(latents.map(Tensor.float)), self.embed_candidates(embeddings.float()), self.scale())


def examine(critic: Critic, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
    """Score once, and refuse a wrong shape or precision, scores in wrong places, and numbers that are not finite.

    It reads the scores, and so waits for the device: for dry runs and the laboratory, not for every update.
    """
    with examined(critic):
        scores: Tensor = critic(latents, embeddings)
    return scores


@contextmanager
def examined(root: nn.Module) -> Iterator[None]:
    """Within it, the scores of every critic of a module are checked to be finite, and each to be that of its row and column."""
    critics = [each for each in root.modules() if isinstance(each, Critic)]
    handles = [each.register_forward_hook(check) for each in critics for check in (_check_finite, _check_places)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def classes_of(critic: Critic, latent: LatentSpec) -> int:
    """The size of each one-hot group of a categorical latent."""
    if latent.classes is None or latent.stochastic % latent.classes:
        raise UserError(
            f"{type(critic).__name__} takes one-hot groups of equal size, and the dynamics declares a {latent.kind} latent of "
            f"{latent.stochastic} numbers with classes = {latent.classes}; bind a categorical Agent.dynamics whose LatentSpec has them."
        )
    return latent.classes


def _check_form(critic: Critic, scores: object, expected: tuple[int, int]) -> None:
    """Check shape and precision, without reading the device."""
    if isinstance(scores, Tensor) and scores.shape == expected and scores.dtype == torch.float32:
        return
    form = f"{scores.dtype} of shape {[*scores.shape]}" if isinstance(scores, Tensor) else f"a {type(scores).__name__}"
    raise UserError(
        f"{type(critic).__name__}.score gives {form}, and must give torch.float32 of shape {[*expected]}: "
        "one score for every latent (row) and every embedding (column), in float32."
    )


def _check_finite(critic: nn.Module, arguments: tuple[Any, ...], scores: Tensor) -> None:
    latents, embeddings = arguments
    if not bool(latents.features.isfinite().all() & embeddings.isfinite().all()):
        return  # the inputs are at fault
    wrong = int((~scores.isfinite()).sum())
    if wrong:
        raise UserError(
            f"{type(critic).__name__}.score gives {wrong} of {scores.numel()} scores that are nan or infinite, from latents and embeddings "
            "that are finite; every score must be a finite number: look for logarithms, roots and divisions at 0."
        )


def _check_places(critic: nn.Module, arguments: tuple[Any, ...], scores: Tensor) -> None:
    """Score without the first latent: the others keep their rows, in a matrix that no transposed one is equal to."""
    latents, embeddings = arguments
    if scores.shape[0] < 2 or not scores.isfinite().all():
        return
    with torch.no_grad():
        fewer: Tensor = critic.forward(latents.map(lambda part: part[1:]), embeddings)
    size = max(1.0, float(scores.detach().abs().max()))
    if not torch.allclose(fewer, scores[1:].detach(), rtol=1e-3, atol=1e-3 * size):
        raise UserError(
            f"{type(critic).__name__}.score gives other scores for the same pairs when one latent is left out; the score in row i and "
            "column j must be that of latent i and embedding j alone: look for a transposed matrix, and for means over a batch."
        )
