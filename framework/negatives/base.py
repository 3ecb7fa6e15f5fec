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
    """The denominator of every anchor: a selection of candidates, additional candidates, or other weights.

    Strategies compose by wrapping: each starts from the result of the one that its `of` names, and from every step of the batch where
    `of` is None. `is_lower_bound`: the estimate is still a lower bound on the mutual information `I(s; o)`. `adds_candidates`: the critic
    is needed again, and so the row axis. `keeps_positive`: the positive stays in the denominator. `is_stateful`: there is state from
    update to update. `anchor`: the latent that is needed, where only one makes sense. `needs_units`: a `UnitCritic` is needed.
    `needs_source`: it reads `contrast.source`, which only the row axis has.
    """

    derived: ClassVar[tuple[str, ...]] = ()
    is_lower_bound: ClassVar[bool] = True
    adds_candidates: ClassVar[bool] = False
    is_stateful: ClassVar[bool] = False
    keeps_positive: ClassVar[bool] = True
    anchor: ClassVar[Literal["posterior", "prior"] | None] = None
    needs_units: ClassVar[bool] = False
    needs_source: ClassVar[bool] = False

    def __init__(self, *, of: "Factory[Negatives] | None" = None) -> None:
        super().__init__()
        self.of: Negatives | None = of() if of is not None else None

    def forward(self, contrast: Contrast, key: Key) -> Contrast:
        wrapped = contrast if self.of is None else self.of(contrast, fold_in(key, 1))
        extra = None if wrapped.source is None else wrapped.source.extra
        self.check(candidates=wrapped.scores.shape[1], extra=0 if extra is None else extra.embedding.shape[0])
        return self.choose(wrapped, key)

    @abstractmethod
    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        """This strategy's own step, after the one that it wraps: a function of the contrast and the key, without side effect.

        Random numbers of pairs and of anchors are those of the contrast (`Contrast.uniform`): equal in blocks and on several ranks.
        """

    def check(self, *, candidates: int, extra: int) -> None:
        """Refuse too few candidates of the strategy in it, the positive included, or too few of `Replay.extra_candidates`."""
        return

    @property
    def slow_rate(self) -> float | None:
        """The rate of the slow copy of the encoder, which then gives the candidates; None without one."""
        return None if self.of is None else self.of.slow_rate

    def allocate(self, embedding_size: int) -> None:
        """Allocate state, once, before the first update."""
        return

    def after_update(self, embeddings: Float[Tensor, "N E"], origin: Origin) -> None:
        """Update state with the candidates of an update."""
        return

    @final
    def source_of(self, contrast: Contrast) -> Source:
        """The inputs of the scores, to score new candidates or to look at the steps. Raises `UserError` where there are none."""
        if contrast.source is None:
            raise UserError(
                f"{type(self).__name__} reads the inputs of the scores, and this contrast has scores alone; its class must declare "
                "needs_source = True or adds_candidates = True, and the axis be 'row'."
            )
        return contrast.source

    @final
    def check_count(self, setting: str, count: int, *, least: int, available: int) -> None:
        """Refuse a number of candidates, or of negatives, that is larger than what there is."""
        if count > available:
            raise UserError(
                f"{type(self).__name__}.{setting} = {count}, and there are {available} {'negatives' if least == 1 else 'candidates'}; "
                f"bind from {least} to {available}, or a larger Replay.batch or Replay.length."
            )

    @final
    def each(self) -> list["Negatives"]:
        """This strategy and those that it wraps, the outermost first."""
        return [self] if self.of is None else [self, *self.of.each()]

    @final
    def bounds_below(self) -> bool:
        """Whether the estimate, under all the strategies together, is a lower bound."""
        return all(strategy.is_lower_bound for strategy in self.each())
