"""What the objectives that contrast have in common: their meters, and which parts can go into them."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from framework.contrastive.contrast import Contrast
from framework.critics.base import Critic
from framework.data import Metrics
from framework.errors import UserError
from framework.functional import contrastive
from framework.functional.contrastive import ContrastiveStats
from framework.negatives.base import Negatives


def contrastive_metrics(standings: Sequence[ContrastiveStats], valid: Sequence[Bool[Tensor, " _"]] | None = None) -> Metrics:
    """The mean of each meter over the offsets and axes; the largest score is the largest of all.

    `valid` says of each contrast which of its anchors have a positive, all where it is None: what is said of positives, and of what they
    stand against, is said of those.
    """
    counted = valid or [torch.ones_like(each.alone) for each in standings]

    def of_valid(meter: Callable[[ContrastiveStats], Tensor]) -> Tensor:
        means = [contrastive.mean_where(meter(each), those) for each, those in zip(standings, counted, strict=True)]
        return torch.stack(means).mean()

    return {
        "contrastive/ceiling": of_valid(lambda each: each.log_candidates),
        "contrastive/alone": of_valid(lambda each: each.alone),
        "contrastive/accuracy": of_valid(lambda each: each.hits),
        "contrastive/positive_score": of_valid(lambda each: each.positive),
        "contrastive/negative_score": torch.stack([each.negative_mean for each in standings]).mean(),
        "contrastive/largest_score": torch.stack([each.largest for each in standings]).max(),
    }


def estimate_key(negatives: Negatives) -> str:
    """The metric of InfoNCE's own estimate, which says so where it is no lower bound on the mutual information."""
    return "contrastive/estimate" + ("" if negatives.bounds_below() else "_no_bound")


def diagnostics(owner: str, negatives: Negatives, contrast: Contrast, embedding: Float[Tensor, "B T E"]) -> Metrics:
    """What is read once per logging interval: the false-negative meter and the collapse meter. Refuses a batch without any negative."""
    check_some_have_negatives(owner, negatives, contrast)
    rows = contrast.anchors.row, contrast.candidates.row
    return {
        "contrastive/own_sequence_mass": contrastive.share_on(contrast.scores, contrast.log_weights, *rows),
        "contrastive/effective_rank": contrastive.effective_rank(rearrange(embedding, "b t e -> (b t) e")),
    }


def check_some_have_negatives(owner: str, negatives: Negatives, contrast: Contrast) -> None:
    """Refuse a batch of which no anchor has a negative: its loss is a constant, and nothing would say so.

    A single anchor may be alone, and every one as long as the replay has a single episode, which some strategies leave out. It reads the
    weights, and so waits for the device: once per logging interval, not for every update.
    """
    steps = contrast.anchors.rows * contrast.anchors.times
    episode = contrast.candidates.episode[:steps]
    if contrast.anchors.rows > 1 and bool((episode == episode[0]).all()):
        return
    if bool(contrastive.alone(contrast.log_weights).all()):
        names = " of ".join(type(each).__name__ for each in negatives.each())
        raise UserError(
            f"{owner}.negatives leaves no anchor a negative: {names} keeps nothing but the positives of {contrast.anchors.rows} x "
            f"{contrast.anchors.times} steps, so that the loss is constant; bind another strategy, a larger Replay.batch or Replay.length."
        )


def check_scores_embeddings(owner: str, critic: Critic, anchor: Literal["posterior", "prior"]) -> None:
    """Refuse a critic that cannot tell embeddings apart for a fixed latent."""
    name = type(critic).__name__
    if critic.each_offset().keys() != {0} or critic.candidate != "embedding" or critic.anchor not in (None, anchor):
        raise UserError(
            f"{owner}.critic = @critics.{name} does not score the {anchor} against one embedding; "
            "bind one that does, such as @critics.SeparableCritic."
        )
    if critic.normalized_over == "observation":
        raise UserError(
            f"{owner} fixes the latent and sums over observations, and {name} is a density over observations: the bound would be wrong by "
            f"nats; bind another {owner}.critic."
        )


def check_selects(owner: str, negatives: Negatives) -> None:
    """Refuse a strategy that does more than select among the steps of the batch."""
    for each in negatives.each():
        if each.adds_candidates or each.anchor is not None:
            raise UserError(
                f"{type(each).__name__} does more than select among the steps of the batch, which is all that {owner} can use; "
                f"bind another {owner}.negatives, such as @negatives.InBatch."
            )
