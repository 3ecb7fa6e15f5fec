"""The contract of a negative-sampling strategy."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, final

from jaxtyping import Float
from torch import Tensor, nn

from framework.contrastive.contrast import Contrast, Source
from framework.contrastive.origin import Origin
from framework.data import Factory
from framework.errors import UserError
from framework.functional.random import Key, fold_in


class Negatives(nn.Module, ABC):
    """Decides what stands in every anchor's denominator: a selection, extra candidates, or other weights.

    Strategies compose by wrapping: each goes on from what the one that its `of` names has made, and from every step of the batch
    where `of` is None. `is_lower_bound` says whether the estimate is still a lower bound on the mutual information `I(s; o)`;
    `adds_candidates` that it needs the critic again, and so the row axis; `keeps_positive` that the positive stays in the denominator;
    `is_stateful` that it carries something over from update to update. `anchor` names the latent that it needs, where only one makes
    sense; `needs_units` that it needs a critic of unit vectors.
    """

    derived: ClassVar[tuple[str, ...]] = ()
    is_lower_bound: ClassVar[bool] = True
    adds_candidates: ClassVar[bool] = False
    is_stateful: ClassVar[bool] = False
    keeps_positive: ClassVar[bool] = True
    anchor: ClassVar[Literal["posterior", "prior"] | None] = None
    needs_units: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, *, of: "Factory[Negatives] | None" = None) -> None:
        super().__init__()
        self.of: Negatives | None = of() if of is not None else None

    def forward(self, contrast: Contrast, key: Key) -> Contrast:
        wrapped = contrast if self.of is None else self.of(contrast, fold_in(key, 1))
        return self.choose(wrapped, key)

    @abstractmethod
    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        """This strategy's own step, after the one that it wraps: a function of the contrast and the seed, without side effect."""

    @property
    def slow_rate(self) -> float | None:
        """How fast a slow copy of the encoder, which then gives the candidates, follows; None without one."""
        return None if self.of is None else self.of.slow_rate

    def allocate(self, embedding_size: int) -> None:
        """Make room for what is carried over, once, before the first update."""
        return

    def after_update(self, embeddings: Float[Tensor, "N E"], origin: Origin) -> None:
        """Take in the candidates of an update that is done."""
        return

    @final
    def source_of(self, contrast: Contrast) -> Source:
        """What new candidates are scored with. Raises `UserError` where they cannot be."""
        if contrast.source is None:
            raise UserError(
                f"{type(self).__name__} adds candidates, which must be scored, and this contrast has scores alone; bind another."
            )
        return contrast.source

    @final
    def each(self) -> list["Negatives"]:
        """This strategy and those that it wraps, the outermost first."""
        return [self] if self.of is None else [self, *self.of.each()]

    @final
    def bounds_below(self) -> bool:
        """Whether the estimate, under all the strategies together, is a lower bound."""
        return all(strategy.is_lower_bound for strategy in self.each())
