"""What behaviors share that learn a value of actions from replayed steps."""

import torch
from jaxtyping import Float
from torch import Tensor

from framework.data import InferredBatch
from framework.functional.masking import masked
from framework.values.base import Value


def beside(features: Float[Tensor, "*B F"], action: Float[Tensor, "*B A"]) -> Float[Tensor, "*B G"]:
    """What a value of actions sees: `Q(s, a)` is a value of `[s, a]`."""
    return torch.cat([features, action], dim=-1)


def temporal_difference(value: Value, inferred: InferredBatch, following: Float[Tensor, "B T"], discount: float) -> Float[Tensor, "B U"]:
    """The cost of `Q(s_{t-1}, a_t)` against `r_t + discount (1 - terminal_t) following_t`, for every step but the first of a row.

    `a_t` and `r_t` lie in the row of the step that the action led to. Where `t` is the first step of an episode nothing led to it, and
    the cost is 0.

    Gradients: to the value alone; the features and `following` are detached.
    """
    going_on = 1 - inferred.batch.is_terminal[:, 1:].float()
    target = inferred.batch.reward[:, 1:] + discount * going_on * following[:, 1:]
    before = inferred.features[:, :-1].detach()
    return masked(value.loss(beside(before, inferred.batch.action[:, 1:]), target.detach()), ~inferred.batch.is_first[:, 1:])
