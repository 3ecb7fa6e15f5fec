"""Pictures of a contrast: the images that score highest for a few anchors, and all the scores of a batch.

Both show the contrast of training: its anchors, and the candidates that its strategy keeps. Of a batch that is evaluated in blocks of
anchors they show the first block, which has the steps of the batch in their order.
"""

from dataclasses import replace
from typing import Final

import torch
from einops import rearrange
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from framework.contrastive.contrast import Axis, Contrast
from framework.contrastive.origin import Origin
from framework.functional.contrastive import weighted
from framework.visualization.ranked_images import Ranking, draw_ranked_images
from framework.visualization.score_matrix import MatrixPanel, draw_matrices

ANCHORS: Final = 6
CELLS: Final = 280
"""The most rows of a score matrix that are shown."""


def spread(valid: Bool[Tensor, " N"], count: int) -> list[int]:
    """Some of the valid anchors: one from each of as many equal parts, at another place of each part."""
    places = valid.nonzero().flatten().tolist()
    parts = min(count, len(places))
    return [places[int((part + (part + 1) * 0.618 % 1) * len(places) / parts)] for part in range(parts)]


def with_positives(contrast: Contrast) -> Contrast:
    """Keep the positives, also where a strategy takes them out of the denominator."""
    return replace(contrast, log_weights=contrast.log_weights.masked_fill(contrast.positive, 0.0))


def rank(contrast: Contrast, anchor: int) -> Ranking:
    """Rank the steps of the batch that are kept for an anchor; candidates from elsewhere have no image."""
    size = contrast.anchors.rows * contrast.anchors.times
    scores, kept = contrast.scores[anchor, :size], ~contrast.log_weights[anchor, :size].isneginf()
    order = scores.argsort(descending=True, stable=True)
    others = order[kept[order] & (order != anchor)].tolist()
    before = sum(bool(scores[index] >= scores[anchor]) for index in others)
    return Ranking(anchor=anchor, candidates=[*others[:before], anchor, *others[before:]], rank=before + 1)


def probabilities(contrast: Contrast) -> Float[Tensor, "N M"]:
    """The probability of each candidate to be the positive, by the softmax over all that have any weight."""
    return torch.softmax(weighted(contrast.scores, contrast.log_weights), dim=1)


def which(
    contrast: Contrast, valid: Bool[Tensor, " N"], images: UInt8[Tensor, "B L Y X C"], axis: Axis, offset: int = 0
) -> UInt8[Tensor, "height width 3"]:
    """For a few anchors: the true image, and the candidates of highest score. `images` are those of `offset` steps after the latents."""
    contrast = with_positives(contrast)
    rankings = [rank(contrast, anchor) for anchor in spread(valid, ANCHORS)]
    probability, origin = probabilities(contrast), contrast.candidates

    def caption(anchor: int, index: int) -> str:
        score = float(contrast.scores[anchor, index])
        number = f"{score:.2f}" if abs(score) < 100 else f"{score:.1f}"
        place = f"sequence {int(origin.row[index])}, step {int(origin.time[index]) + offset}"
        return f"{number}   {float(probability[anchor, index]):.1%}\n{place}"

    question, candidates = {
        "row": ("Which image belongs to this latent?", "images"),
        "column": ("Which latent belongs to this image? Each latent is shown by the image that it belongs to.", "latents"),
    }[axis]
    kept = max((len(ranking.candidates) for ranking in rankings), default=0)
    explanation = (
        f"Candidates are the {kept} {candidates} of the batch that the strategy keeps. Green frame: the true one. Red frame: another "
        "that scores highest.\nBelow each: its score, its probability, and its place in the batch."
    )
    shown = rearrange(images, "b t y x c -> (b t) y x c").cpu().numpy()
    return torch.from_numpy(draw_ranked_images(rankings, shown, caption, question, explanation))


def score_matrix(contrast: Contrast, axis: Axis) -> UInt8[Tensor, "height width 3"]:
    """The scores of a batch and their softmax, by sequence and time; as many whole sequences as are legible."""
    contrast, times = with_positives(contrast), contrast.anchors.times
    anchors = contrast.scores.shape[0]
    size = min(max(1, min(anchors, CELLS) // times) * times, anchors)
    kept = ~contrast.log_weights[:size, :size].isneginf()
    log_probability = probabilities(contrast)[:size, :size].clamp(min=1e-30).log()
    chance = -(~contrast.log_weights.isneginf()).sum(dim=1).max().log().item()
    scores = contrast.scores[:size, :size]
    low, high = _range(scores[kept])
    softmax_title = f"log-probability in nats: 0 is sure, {chance:.1f} is chance"
    panels = [
        MatrixPanel(scores.cpu().numpy(), kept.cpu().numpy(), low, high, "score"),
        MatrixPanel(log_probability.cpu().numpy(), kept.cpu().numpy(), min(3 * chance, -3.0), 0.0, softmax_title),
    ]
    sides = {"row": ("latent", "observation"), "column": ("observation", "latent")}[axis]
    title = f"Every {sides[0]} (rows) against every {sides[1]} (columns) of a batch"
    return torch.from_numpy(draw_matrices(panels, min(times, size), title, _explanation(contrast, size), sides))


def shown_steps(anchors: Origin, size: int) -> str:
    """Which steps of a batch the first `size` anchors are, in words."""
    sequences, whole = size // anchors.times, f"{anchors.rows} sequences of {anchors.times} steps."
    if sequences == 0:
        return f"The first {size} steps of the first of {whole}"
    return f"The first {sequences} of {whole}" if sequences < anchors.rows else whole


def _explanation(contrast: Contrast, size: int) -> str:
    extra = contrast.scores.shape[1] - contrast.anchors.rows * contrast.anchors.times
    parts = [shown_steps(contrast.anchors, size)]
    parts += [f" Another {extra} candidates from elsewhere are not shown."] if extra else []
    parts += [" Gray: left out by the strategy."] if bool(contrast.log_weights.isneginf().any()) else []
    parts += ["\nThe diagonal: positive pairs, which training makes bright. Red squares: the same sequence, with similar neighbors."]
    return "".join(parts)


def _range(values: Float[Tensor, " K"]) -> tuple[float, float]:
    """From the lowest hundredth to the highest, so that a few very low values do not hide the differences of the others."""
    finite = values[values.isfinite()].sort().values
    if not finite.numel():
        return 0.0, 1.0
    low = float(finite[finite.numel() // 100])
    return low, max(float(finite[-1]), low + 1e-6)
