"""What a contrast looks like: which image was taken for the true one, and all the scores of a batch.

Both show what training sees: its anchors, and the candidates that its strategy keeps. Of a batch that is looked at in blocks of anchors
they show the first block, which has the steps of the batch in their order.
"""

from dataclasses import dataclass, replace
from typing import Final

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from framework.contrastive.contrast import Axis, Contrast
from framework.contrastive.origin import Origin
from framework.functional.contrastive import weighted
from framework.objectives.drawing import FAINT, GREEN, RED, Canvas, Picture, enlarged, factor_for
from framework.objectives.matrices import Matrix, draw_matrix

ANCHORS: Final = 6
CANDIDATES: Final = 6
TILE: Final = 128
LEFT, TOP, GAP, CAPTION = 150, 116, 26, 54
"""Of `which`, in pixels: what stands left of the images, above them, beside the true one and below each."""
CELLS: Final = 280
"""As many rows of the matrix are shown as can be told apart."""


@dataclass(frozen=True)
class Ranking:
    """One anchor's candidates, the highest score first. `rank` is the true one's, from 1; of equals it is the last."""

    anchor: int
    candidates: list[int]
    rank: int


def spread(valid: Bool[Tensor, " N"], count: int) -> list[int]:
    """Some of the valid places: one in each of as many equal parts, at another point of each part."""
    places = valid.nonzero().flatten().tolist()
    parts = min(count, len(places))
    return [places[int((part + (part + 1) * 0.618 % 1) * len(places) / parts)] for part in range(parts)]


def with_positives(contrast: Contrast) -> Contrast:
    """The true one is a candidate in every picture, also where a strategy takes it out of the denominator."""
    return replace(contrast, log_weights=contrast.log_weights.masked_fill(contrast.positive, 0.0))


def rank(contrast: Contrast, anchor: int) -> Ranking:
    """Among the steps of the batch that the strategy keeps for this anchor; what it adds from elsewhere has no image here."""
    size = contrast.anchors.rows * contrast.anchors.times
    scores, kept = contrast.scores[anchor, :size], ~contrast.log_weights[anchor, :size].isneginf()
    order = scores.argsort(descending=True, stable=True)
    others = order[kept[order] & (order != anchor)].tolist()
    before = sum(bool(scores[index] >= scores[anchor]) for index in others)
    return Ranking(anchor=anchor, candidates=[*others[:before], anchor, *others[before:]], rank=before + 1)


def probabilities(contrast: Contrast) -> Float[Tensor, "N M"]:
    """How probable each candidate is to be the true one, as the softmax over all that have any weight has it."""
    return torch.softmax(weighted(contrast.scores, contrast.log_weights), dim=1)


def which(contrast: Contrast, valid: Bool[Tensor, " N"], images: UInt8[Tensor, "M Y X C"], axis: Axis, offset: int = 0) -> Picture:
    """For a few anchors: the true image, and the candidates of highest score with the true one framed; which are hits.

    `images` are those of `offset` steps after the latents.
    """
    contrast = with_positives(contrast)
    rankings = [rank(contrast, anchor) for anchor in spread(valid, ANCHORS)]
    factor = factor_for(images[0], TILE)
    across = max(images.shape[2] * factor, 116) + 14
    down = images.shape[1] * factor + CAPTION
    canvas = Canvas(width=max(LEFT + across * (CANDIDATES + 1) + GAP + 14, 900), height=TOP + down * len(rankings))
    _write_question(canvas, axis, rankings)
    canvas.write("the true image", x=LEFT, y=TOP - 26)
    canvas.write("candidates, the highest score first", x=LEFT + across + GAP, y=TOP - 26)
    tiles = _Tiles(canvas, contrast, probabilities(contrast), images, factor, offset)
    for line, found in enumerate(rankings):
        y = TOP + line * down
        _write_verdict(canvas, found, y + images.shape[1] * factor // 2)
        tiles.draw(found.anchor, found.anchor, x=LEFT, y=y)
        for column, index in enumerate(found.candidates[:CANDIDATES]):
            framed = index == found.anchor or column == 0
            tiles.draw(found.anchor, index, x=LEFT + GAP + (column + 1) * across, y=y, framed=framed)
    return canvas.picture()


def scores(contrast: Contrast, axis: Axis) -> Picture:
    """The scores of a batch, and what the softmax makes of them, by sequence and time; as many whole sequences as can be inferred."""
    contrast, times = with_positives(contrast), contrast.anchors.times
    anchors = contrast.scores.shape[0]
    sequences = max(1, min(anchors, CELLS) // times)
    size = min(sequences * times, anchors)
    kept = contrast.log_weights[:size, :size].isfinite()
    raw = contrast.scores[:size, :size]
    certain = probabilities(contrast)[:size, :size].clamp(min=1e-30).log()
    chance = -contrast.log_weights.isfinite().sum(dim=1).max().log().item()
    low, high = _range(raw[kept])
    sides = {"row": ("latent", "observation"), "column": ("observation", "latent")}[axis]
    panels = [
        Matrix(raw, kept, min(times, size), low, high, "score", *map(_axis_title, sides)),
        Matrix(certain, kept, min(times, size), min(3 * chance, -3.0), 0.0, _softmax_title(chance), *map(_axis_title, sides)),
    ]
    canvas = Canvas(width=14 + sum(panel.width for panel in panels), height=92 + panels[0].height)
    _write_what_is_scored(canvas, contrast, sides, size)
    draw_matrix(canvas, panels[0], x=14, y=92)
    draw_matrix(canvas, panels[1], x=14 + panels[0].width, y=92)
    return canvas.picture()


@dataclass(frozen=True)
class _Tiles:
    """Draws images with their scores beneath them."""

    canvas: Canvas
    contrast: Contrast
    probability: Tensor
    images: Tensor
    factor: int
    offset: int

    def draw(self, anchor: int, index: int, *, x: int, y: int, framed: bool = False) -> None:
        image = enlarged(self.images[index], self.factor)
        height, width = image.shape[:2]
        middle, origin = x + width // 2, self.contrast.candidates
        self.canvas.place(image, x=x, y=y)
        if framed:
            self.canvas.frame(x=x, y=y, width=width, height=height, color=GREEN if index == anchor else RED, thickness=4)
        words = f"{_number(float(self.contrast.scores[anchor, index]))}   {_percent(float(self.probability[anchor, index]))}"
        self.canvas.write(words, x=middle, y=y + height + 6, anchor="ma")
        place = f"sequence {int(origin.row[index])}, step {int(origin.time[index]) + self.offset}"
        self.canvas.write(place, x=middle, y=y + height + 22, size=11, color=FAINT, anchor="ma")


def _write_question(canvas: Canvas, axis: Axis, rankings: list[Ranking]) -> None:
    hits = sum(found.rank == 1 for found in rankings)
    kept = max((len(found.candidates) for found in rankings), default=0)
    question, candidates = {
        "row": ("Which image belongs to this latent?", "images"),
        "column": ("Which latent belongs to this image? Each latent is shown by the image that it belongs to.", "latents"),
    }[axis]
    canvas.write(f"{question}  {hits} of {len(rankings)} found.", x=14, y=12, size=18)
    explained = f"Candidates are the {kept} {candidates} of the batch that the strategy keeps."
    canvas.write(f"{explained} Green frame: the true one. Red frame: another that scores highest.", x=14, y=40, color=FAINT)
    canvas.write("Beneath each: its score, how probable that makes it, and its place in the batch.", x=14, y=58, color=FAINT)


def _write_verdict(canvas: Canvas, found: Ranking, y: int) -> None:
    hit = found.rank == 1
    canvas.write("hit" if hit else "miss", x=14, y=y - 8, size=20, color=GREEN if hit else RED, anchor="ls")
    canvas.write("the true one" if hit else f"the true one is {_ordinal(found.rank)}", x=14, y=y, size=12)
    canvas.write("scores highest" if hit else f"of {len(found.candidates)}", x=14, y=y + 16, size=12)


def shown_of(anchors: Origin, size: int) -> str:
    """Which of a batch's steps the first `size` anchors are, in words."""
    sequences, whole = size // anchors.times, f"{anchors.rows} sequences of {anchors.times} steps."
    if sequences == 0:
        return f"The first {size} steps of the first of {whole}"
    return f"The first {sequences} of {whole}" if sequences < anchors.rows else whole


def _write_what_is_scored(canvas: Canvas, contrast: Contrast, sides: tuple[str, str], size: int) -> None:
    extra = contrast.scores.shape[1] - contrast.anchors.rows * contrast.anchors.times
    said = [shown_of(contrast.anchors, size)]
    said += [f" Another {extra} candidates from elsewhere are not shown."] if extra else []
    said += [" Gray: left out by the strategy."] if bool(contrast.log_weights.isneginf().any()) else []
    canvas.write(f"Every {sides[0]} (rows) against every {sides[1]} (columns) of a batch", x=14, y=12, size=18)
    canvas.write("".join(said), x=14, y=40, color=FAINT)
    canvas.write(
        "The diagonal: what belongs together, which training makes bright. Red squares: the same sequence, where neighbors look alike.",
        x=14,
        y=58,
        color=FAINT,
    )


def _axis_title(side: str) -> str:
    return f"{side}: sequence 0, 1, .. and in it the steps in order"


def _softmax_title(chance: float) -> str:
    return f"log-probability in nats: 0 is sure, {chance:.1f} is chance"


def _range(values: Float[Tensor, " K"]) -> tuple[float, float]:
    """From the lowest hundredth, so that a few very low values do not make all others look alike."""
    finite = values[values.isfinite()].sort().values
    if not finite.numel():
        return 0.0, 1.0
    low = float(finite[finite.numel() // 100])
    return low, max(float(finite[-1]), low + 1e-6)


def _number(score: float) -> str:
    return f"{score:.2f}" if abs(score) < 100 else f"{score:.1f}"


def _percent(probability: float) -> str:
    """Never rounded to 0 % or to 100 %."""
    if probability < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if probability > 0.999 else f"{100 * probability:.1f} %"


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
