"""Other actions in the same history."""

from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from framework import negatives
from framework.contrastive.contrast import Contrast
from framework.data import Factory
from framework.errors import UserError
from framework.functional.random import Key, fold_in
from framework.negatives.base import Negatives


@final
@negatives.register
class ActionNegatives(Negatives):
    """Contrasts the prior under the action that was taken with the priors under `count` other actions of the batch.

        loss_i = -f(s_i, o_i) + log( exp f(s_i, o_i) + sum_k exp f(s_ik, o_i) ),    s_ik = prior(h_i, z_i, a_k), all at their means

    Observation and history are the anchor's own, so that only the effect of the action discriminates: `I(o; a | h)`, not a lower bound
    on `I(s; o)`. The other steps of the batch are left out (`batch = 'keep'` leaves them in). A first step has no action, and so no
    negative and no loss. The cost is `count` times that of predicting and scoring the pairs.

    Gradients: to the critic, the embedding, the dynamics and the step before, through the priors.
    """

    is_lower_bound: ClassVar[bool] = False
    adds_candidates: ClassVar[bool] = True
    anchor: ClassVar[Literal["posterior", "prior"] | None] = "prior"

    def __init__(self, *, count: int = 16, batch: Literal["keep", "drop"] = "drop", of: Factory[Negatives] | None = None) -> None:
        super().__init__(of=of)
        if count < 1:
            raise UserError(f"ActionNegatives.count = {count} leaves no negative; bind at least 1.")
        self.count, self.batch = count, batch

    def choose(self, contrast: Contrast, key: Key) -> Contrast:
        source = self.source_of(contrast)
        if source.predict is None or source.action is None or source.is_first is None:
            raise UserError("ActionNegatives needs a world model to predict other actions, and there is none; bind another strategy.")
        anchors = contrast.scores.shape[0]
        embeddings, first = source.embeddings[:anchors], source.is_first
        scores, left_out = [], []
        for number in range(self.count):
            other = _other_steps(contrast.uniform_of_anchors(fold_in(key, 2 + number), 1).squeeze(1), first.shape[0])
            scores.append(source.score_pairs(source.predict(source.action[other], contrast.anchors), embeddings))
            left_out.append(first[:anchors] | first[other])
        columns = torch.stack(scores, dim=1)
        base = contrast if self.batch == "keep" else contrast.without_batch()
        return base.append(columns, torch.zeros_like(columns).masked_fill(torch.stack(left_out, dim=1), -torch.inf))


def _other_steps(drawn: Float[Tensor, " N"], steps: int) -> Int[Tensor, " N"]:
    """For each anchor, by a number drawn from [0, 1), another one of the steps, the first of which are the anchors' own."""
    ahead = 1 + (drawn * (steps - 1)).long()
    return (torch.arange(drawn.shape[0], device=drawn.device) + ahead) % steps
