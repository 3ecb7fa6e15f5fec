"""Which critics, strategies, bounds and batches go together."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn

from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.contrastive.origin import Origin
from framework.critics.base import Critic, UnitCritic
from framework.errors import UserError
from framework.functional import ranks
from framework.functional.contrastive import alone
from framework.negatives.base import Negatives

FEW = 64
"""Anchors whose negatives are looked at before training."""


def check_axis(critic: Critic, axis: str) -> None:
    """Refuse a density off its own axis."""
    wrong = {"latent": ("column", "symmetric"), "observation": ("row", "symmetric")}.get(critic.normalized_over or "", ())
    if axis in wrong:
        right = "row" if critic.normalized_over == "latent" else "column"
        raise UserError(
            f"InfoNCE.axis = '{axis}' does not fit {type(critic).__name__}, a density over the {critic.normalized_over}: "
            f"off its own axis the bound is wrong by nats; bind InfoNCE.axis = '{right}'"
            + (", or 'column_as_released' to ask for it by name." if right == "row" else ".")
        )


def check_parts(critic: Critic, negatives: Negatives, *, anchor: str, axis: str, offsets: tuple[int, ...]) -> None:
    """Refuse a critic and strategies that need another anchor, axis, candidate or critic."""
    name, strategies = type(critic).__name__, negatives.each()
    needs = [(name, critic.anchor), *((type(strategy).__name__, strategy.anchor) for strategy in strategies)]
    for owner, needed in needs:
        if needed not in (None, anchor):
            raise UserError(f"{owner} needs the {needed}, and InfoNCE.anchor = '{anchor}'; bind InfoNCE.anchor = '{needed}'.")
    if offsets != (0,) and critic.candidate != "embedding":
        raise UserError(
            f"InfoNCE.offsets = {offsets}, and {name} does not score a latent against the embedding of a later observation; "
            "bind InfoNCE.offsets = (0,) or another InfoNCE.critic, such as @critics.BilinearCritic."
        )
    mixing = [type(strategy).__name__ for strategy in strategies if strategy.needs_units]
    if mixing and not isinstance(critic, UnitCritic):
        raise UserError(f"{mixing[0]} mixes unit vectors, and {name} has none; bind InfoNCE.critic = @critics.CosineCritic.")
    adding = [type(strategy).__name__ for strategy in strategies if strategy.adds_candidates]
    if adding and axis != "row":
        raise UserError(f"{adding[0]} adds candidate observations, which only the row axis sums over; bind InfoNCE.axis = 'row'.")
    reading = [type(strategy).__name__ for strategy in strategies if strategy.needs_source]
    if reading and axis != "row":
        raise UserError(f"{reading[0]} reads the pairs themselves, which only the row axis has; bind InfoNCE.axis = 'row'.")
    if adding and offsets != (0,):
        raise UserError(f"{adding[0]} adds candidates for the offset 0, and InfoNCE.offsets = {offsets}; bind InfoNCE.offsets = (0,).")


def check_bounds(bound: Bound, diagnostics: Iterable[nn.Module], axis: str) -> None:
    """Refuse bounds that cannot be trained, and diagnostics that would have to be."""
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


def check_selecting(owner: str, critic: Critic, negatives: Negatives, anchor: Literal["posterior", "prior"]) -> None:
    """Refuse what an objective cannot use that scores a latent against embeddings, with negatives selected from the batch."""
    name = type(critic).__name__
    if critic.candidate != "embedding" or critic.anchor not in (None, anchor):
        raise UserError(
            f"{owner}.critic = @critics.{name} does not score the {anchor} against embeddings; "
            "bind one that does, such as @critics.SeparableCritic."
        )
    if critic.normalized_over == "observation":
        raise UserError(
            f"{owner} fixes the latent and sums over observations, and {name} is a density over observations: the bound would be wrong by "
            f"nats; bind another {owner}.critic."
        )
    for strategy in negatives.each():
        if strategy.adds_candidates or strategy.needs_source or strategy.anchor is not None:
            raise UserError(
                f"{type(strategy).__name__} does more than select among the steps of the batch, which is all that {owner} can use; "
                f"bind another {owner}.negatives, such as @negatives.InBatch."
            )


def check_joins_nothing(bound: Bound, rows: int, times: int, chunk_above: int) -> None:
    """Refuse a bound that joins all anchors of a batch that comes in blocks of them."""
    if bound.joins_anchors and rows * times > chunk_above:
        raise UserError(
            f"{type(bound).__name__} joins all anchors of a batch, and {rows} x {times} steps are more than InfoNCE.chunk_above = "
            f"{chunk_above}, above which it would see them in blocks; bind InfoNCE.chunk_above = {rows * times}, which takes memory for "
            "whole matrices, or another InfoNCE.bound."
        )


def check_batch(owner: str, negatives: Negatives, *, rows: int, times: int, extra: int) -> None:
    """Refuse strategies that a batch of `rows` x `times` steps and `extra` candidates does not suffice for."""
    for strategy in reversed(negatives.each()):
        strategy.check(candidates=rows * times, extra=extra)
        if strategy.adds_candidates or strategy.needs_source:
            return
    episode = torch.arange(rows, device="cpu")[:, None].expand(rows, times)
    scores = torch.zeros(min(rows * times, FEW), rows * times, device="cpu")
    contrast = negatives(Contrast.of(scores, Origin.of(episode)), torch.zeros((), dtype=torch.long, device="cpu"))
    check_some_have_negatives(owner, negatives, contrast)


def check_some_have_negatives(owner: str, negatives: Negatives, contrast: Contrast) -> None:
    """Refuse a batch of several episodes of which no anchor has a negative, so that its loss is constant.

    This reads the weights, and so waits for the device: once per logging interval, not in every update.
    """
    steps = contrast.anchors.rows * contrast.anchors.times
    episode = contrast.candidates.episode[:steps]
    has_one_episode = contrast.anchors.rows > 1 and bool((episode == episode[0]).all())
    some_have_negatives = has_one_episode or not bool(alone(contrast.log_weights).all())
    if not any(ranks.totals(some_have_negatives)):
        names = " of ".join(type(strategy).__name__ for strategy in negatives.each())
        raise UserError(
            f"{owner}.negatives leaves no anchor a negative: {names} keeps nothing but the positives of {contrast.anchors.rows} x "
            f"{contrast.anchors.times} steps, so that the loss is constant; bind another strategy, a larger Replay.batch or Replay.length."
        )
