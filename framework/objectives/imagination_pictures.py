"""Imagination of a model without a decoder: the images that its critic scores highest for imagined latents, above the real ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from framework.data import Batch, InferredBatch, Latent
from framework.dynamics.base import Dynamics
from framework.visualization.imagined_images import draw_imagined_images

Score = Callable[[Latent, Tensor], Tensor]
CONTEXT: Final = 5
SEQUENCES: Final = 4
COLUMNS: Final = 20


@dataclass(frozen=True)
class ImageBank:
    """Images to retrieve, the candidates that the critic scores for them, and the episode of each."""

    candidates: Float[Tensor, "M E"]
    images: UInt8[Tensor, "M Y X C"]
    episode: Int[Tensor, " M"]

    @staticmethod
    def of(inferred: InferredBatch, candidates: Float[Tensor, "B T E"], image: str, *, with_extra: bool) -> "ImageBank":
        """Every image of the batch, and those of `Replay.extra_candidates` too where the critic scores embeddings."""
        batch = inferred.batch
        bank = ImageBank(
            candidates=rearrange(candidates, "b t e -> (b t) e"),
            images=rearrange(batch.observation[image], "b t y x c -> (b t) y x c"),
            episode=rearrange(batch.episode, "b t -> (b t)"),
        )
        if not with_extra or inferred.extra is None or batch.extra is None:
            return bank
        return ImageBank(
            candidates=torch.cat([bank.candidates, inferred.extra.embedding]),
            images=torch.cat([bank.images, batch.extra.observation[image]]),
            episode=torch.cat([bank.episode, inferred.extra.episode]),
        )


@dataclass(frozen=True)
class ImaginedFuture:
    """Imagined latents of some rows of a batch, the steps whose images they predict, and where the episode still goes on."""

    context: int
    rows: list[int]
    steps: list[int]
    latents: Latent
    alive: Bool[Tensor, "R H"]


def imagined_future(dynamics: Dynamics, posterior: Latent, batch: Batch, offset: int = 0) -> ImaginedFuture | None:
    """Roll the prior at its mean with the real actions, from the posterior after a context; None where sequences are too short.

    The rows are those whose episodes go on longest. An imagined latent predicts the image of `offset` steps later.
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
    return ImaginedFuture(context, rows, list(range(context + offset, times)), Latent.stack(imagined, dim=1), alive[rows][:, offset:])


def retrieve(latents: Latent, bank: ImageBank, own: Int[Tensor, " R"], score: Score) -> Int[Tensor, "R H"]:
    """The index in the bank of each latent's best image from another episode than its row's own; -1 where there is none."""
    scores = rearrange(score(latents.flatten(), bank.candidates), "(r h) m -> r h m", r=own.shape[0])
    foreign = rearrange(own[:, None] != bank.episode[None], "r m -> r 1 m")
    best = scores.masked_fill(~foreign, -torch.inf).argmax(dim=-1)
    return best.masked_fill(~foreign.any(dim=-1), -1)


def imagine(
    inferred: InferredBatch, dynamics: Dynamics, images: UInt8[Tensor, "B T Y X C"], bank: ImageBank, score: Score, offset: int = 0
) -> UInt8[Tensor, "height width 3"] | None:
    """Each imagined latent as its best image of the bank, above the real one; None where there is nothing to show.

    The own episode of a sequence is not in its bank, which would contain the very image.
    """
    future = imagined_future(dynamics, inferred.posterior, inferred.batch, offset)
    if future is None:
        return None
    best = retrieve(future.latents, bank, inferred.batch.episode[future.rows, future.context - 1], score)
    best = best.masked_fill(~future.alive, -1)[:, :: -(-len(future.steps) // COLUMNS)]
    steps = future.steps[:: -(-len(future.steps) // COLUMNS)]
    if not bool((best >= 0).any()):
        return None
    explanation = (
        f"Each imagined latent is shown by the one of {len(bank.images):,} images that the critic scores highest for it; none is of its "
        "own episode."
    )
    picture = draw_imagined_images(
        images[future.rows, : future.context].cpu().numpy(),
        bank.images[best.clamp(min=0)].cpu().numpy(),
        images[future.rows][:, steps].cpu().numpy(),
        (best >= 0).cpu().numpy(),
        [step - future.context + 1 for step in steps],
        explanation,
    )
    return torch.from_numpy(picture)
