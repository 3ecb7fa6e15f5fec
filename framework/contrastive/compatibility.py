"""Which critics, strategies and bounds go together in InfoNCE."""

from collections.abc import Iterable

import torch
from torch import nn

from framework.bounds.base import Bound
from framework.critics.base import Critic, UnitCritic
from framework.errors import UserError
from framework.negatives.base import Negatives


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


def check_parts(critic: Critic, negatives: Negatives, anchor: str, axis: str) -> None:
    """Refuse a critic and strategies that score, mix or add what is not there."""
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


def check_bounds(bound: Bound, diagnostics: Iterable[nn.Module], axis: str) -> None:
    """Refuse bounds that cannot be trained, or not logged alone."""
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


def check_joins_nothing(bound: Bound, steps: torch.Size, most: int) -> None:
    """Refuse a bound that must see all anchors at once, where a batch is so large that it sees blocks."""
    if bound.joins_anchors:
        raise UserError(
            f"{type(bound).__name__} joins all anchors of a batch, and {steps[0]} x {steps[1]} steps are more than InfoNCE.chunk_above = "
            f"{most}, above which it would see them in blocks; bind InfoNCE.chunk_above = {steps.numel()}, which takes memory for whole "
            "matrices, or another InfoNCE.bound."
        )
