"""What a model without a decoder imagines: the images that its critic finds for imagined latents, above what really came."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from framework.data import Batch, InferredBatch, Latent
from framework.dynamics.base import Dynamics
from framework.objectives.drawing import BLANK, FAINT, Canvas, Picture, enlarged, factor_for

Score = Callable[[Latent, Tensor], Tensor]
CONTEXT: Final = 5
SEQUENCES: Final = 4
COLUMNS: Final = 20
TILE: Final = 64
LEFT, TOP, GAP = 96, 106, 22
"""In pixels: what stands left of the images and above them, and between what is seen and what is imagined."""


@dataclass(frozen=True)
class Bank:
    """Images to find again, what the critic scores of each, and the episode that each is from."""

    candidates: Float[Tensor, "M E"]
    images: UInt8[Tensor, "M Y X C"]
    episode: Int[Tensor, " M"]

    def joined(self, candidates: Float[Tensor, "K E"], images: UInt8[Tensor, "K Y X C"], episode: Int[Tensor, " K"]) -> "Bank":
        """With more images."""
        return Bank(
            candidates=torch.cat([self.candidates, candidates]),
            images=torch.cat([self.images, images]),
            episode=torch.cat([self.episode, episode]),
        )


@dataclass(frozen=True)
class Future:
    """Imagined latents of some rows of a batch, the steps whose images they stand for, and where the episode still goes on."""

    context: int
    rows: list[int]
    steps: list[int]
    latents: Latent
    alive: Bool[Tensor, "R H"]


def imagined_future(dynamics: Dynamics, posterior: Latent, batch: Batch, offset: int = 0) -> Future | None:
    """Roll the prior at its mean with the real actions, from the posterior after a context; None where sequences are too short.

    The rows are those whose episodes go on longest. An imagined latent stands for the image of `offset` steps later.
    """
    times = batch.reward.shape[1]
    context = min(CONTEXT, times // 2)
    if context < 1 or context + offset >= times:
        return None
    alive = ~batch.is_first[:, context:].cumsum(dim=1).bool()
    rows = sorted(alive.sum(dim=1).argsort(descending=True, stable=True)[:SEQUENCES].tolist())
    latent, imagined = posterior.map(lambda part: part[rows, context - 1]), []
    for step in range(context, times - offset):
        latent = dynamics.imagine_step(latent, batch.action[rows, step], torch.zeros_like(latent.stochastic))
        imagined.append(latent)
    return Future(context, rows, list(range(context + offset, times)), Latent.stack(imagined, dim=1), alive[rows][:, offset:])


def retrieve(latents: Latent, bank: Bank, own: Int[Tensor, " R"], score: Score) -> Int[Tensor, "R H"]:
    """The place in the bank of each latent's best image from another episode than its row's own; -1 where there is none."""
    scores = rearrange(score(latents.flatten(), bank.candidates), "(r h) m -> r h m", r=own.shape[0])
    foreign = rearrange(own[:, None] != bank.episode[None], "r m -> r 1 m")
    best = scores.masked_fill(~foreign, -torch.inf).argmax(dim=-1)
    return best.masked_fill(~foreign.any(dim=-1), -1)


def imagine(
    inferred: InferredBatch, dynamics: Dynamics, images: UInt8[Tensor, "B T Y X C"], bank: Bank, score: Score, offset: int = 0
) -> Picture | None:
    """Each imagined latent as its best image of the bank, above what really came; None where there is nothing to show.

    A sequence's own episode is no part of its bank: to find the very image again would be no imagination.
    """
    future = imagined_future(dynamics, inferred.posterior, inferred.batch, offset)
    if future is None:
        return None
    found = retrieve(future.latents, bank, inferred.batch.episode[future.rows, future.context - 1], score)
    found = found.masked_fill(~future.alive, -1)
    return _draw(images, bank, future, found) if bool((found >= 0).any()) else None


def _draw(images: Tensor, bank: Bank, future: Future, found: Tensor) -> Picture:
    factor = factor_for(images[0, 0], TILE)
    tall, wide = images.shape[2] * factor + 2, images.shape[3] * factor + 2
    chosen = range(0, len(future.steps), -(-len(future.steps) // COLUMNS))
    start, down = LEFT + future.context * wide + GAP, 2 * tall + GAP
    canvas = Canvas(width=max(start + len(chosen) * wide + 14, 900), height=TOP + down * len(future.rows))
    _write_head(canvas, start, len(bank.images))
    for column, place in enumerate(chosen):
        ahead = future.steps[place] - future.context + 1
        canvas.write(f"+{ahead}", x=start + column * wide + wide // 2, y=TOP - 20, size=12, anchor="ma")
    for line, row in enumerate(future.rows):
        y = TOP + line * down
        canvas.write("imagined", x=14, y=y + tall // 2, anchor="lm")
        canvas.write("real", x=14, y=y + tall + tall // 2, anchor="lm")
        for step in range(future.context):
            canvas.place(enlarged(images[row, step], factor), x=LEFT + step * wide, y=y + tall)
        for column, place in enumerate(chosen):
            x, index = start + column * wide, int(found[line, place])
            if index < 0:
                canvas.fill(x=x, y=y, width=wide - 2, height=2 * tall - 2, color=BLANK)
                continue
            canvas.place(enlarged(bank.images[index], factor), x=x, y=y)
            canvas.place(enlarged(images[row, future.steps[place]], factor), x=x, y=y + tall)
    return canvas.picture()


def _write_head(canvas: Canvas, start: int, size: int) -> None:
    canvas.write("What the model imagines, without a decoder", x=14, y=12, size=18)
    explained = (
        f"Each imagined latent is shown by the one of {size:,} images that the critic scores highest for it; none is of its own episode."
    )
    canvas.write(explained, x=14, y=40, color=FAINT)
    canvas.write("seen by the model", x=LEFT, y=TOP - 40)
    canvas.write("imagined from there, with the real actions and no further look; steps ahead:", x=start, y=TOP - 40)
