"""Objectives and batches for what is compared between one matrix of scores and blocks of it."""

from dataclasses import replace

import torch
from torch import Tensor

from framework.contrastive.contrast import Contrast
from framework.contrastive.pairs import Pairs, blocks_of, tell
from framework.data import InferredBatch, Latent, LatentSpec, Losses
from framework.functional.contrastive import ContrastiveStats
from framework.objectives.infonce import InfoNCE
from tests.members import build, factory
from tests.tiny import ACTIONS, DYNAMICS, LATENT, OBSERVATIONS, batch, contrast, inferred, latent, normal, origin, seed_of

ROWS, TIMES, EMBEDDING, MOST = 4, 6, 5, 22
STEPS = ROWS * TIMES
SETTLED = {
    "ActionNegatives": {},
    "Mixed": {"count": STEPS - 1},
    "MoCHi": {"hardest": 1, "with_anchor": 0},
    "UniformSubset": {"candidates": STEPS},
}
"""The strategies that draw, with settings under which it does not matter what; of `ActionNegatives`, where all actions are alike."""


def make(
    critic: str = "CosineCritic",
    negatives: str = "InBatch",
    bound: str = "InfoNCEBound",
    spec: LatentSpec = LATENT,
    settings: dict[str, int] | None = None,
    **changes,
) -> InfoNCE:
    """An objective whose strategies remember some candidates; `ActionNegatives` asks for the prior."""
    torch.manual_seed(0)
    objective = InfoNCE(
        latent=spec,
        embedding_size=EMBEDDING,
        observation=OBSERVATIONS["both"],
        action=ACTIONS["continuous"],
        critic=factory("critics", critic),
        negatives=factory("negatives", negatives, **(settings or {})),
        bound=factory("bounds", bound),
        **({"anchor": "prior"} if negatives == "ActionNegatives" else {}) | changes,
    )
    for each in objective.negatives.each():
        each.after_update(normal(3, EMBEDDING, seed=9), origin(1, 3))
    return objective


def given(spec: LatentSpec = LATENT, rows: int = ROWS, times: int = TIMES, alike: bool = False) -> tuple[InferredBatch, list[Tensor]]:
    """A batch, and whatever of it may have gradient; `alike` are its actions."""
    data = batch("both", rows, times)
    if alike:
        data = replace(data, action=torch.full_like(data.action, 0.3), is_first=torch.zeros_like(data.is_first))
    torch.manual_seed(1)
    seen = inferred(latent(rows, times, spec=spec), latent(rows, times, spec=spec, seed=5), normal(rows, times, EMBEDDING, seed=3), data)
    leaves = [*_parts(seen.posterior), *_parts(seen.prior), seen.embedding, seen.drawn.embedding]
    for leaf in leaves:
        leaf.requires_grad_()
    return seen, [*leaves, *seen.dynamics.parameters()]


def gradients(objective: InfoNCE, leaves: list[Tensor], losses: Losses) -> list[Tensor | None]:
    """Of every anchor's loss with a weight of its own."""
    weight = normal(*losses["infonce"].shape, seed=8)
    return list(torch.autograd.grad((losses["infonce"] * weight).sum(), [*leaves, *objective.parameters()], allow_unused=True))


def pairs_of(rows: int, times: int, **changes) -> tuple[Pairs, Contrast]:
    """Random latents and embeddings with all that adds candidates, and what all of them are as one contrast."""
    critic = build("critics", "CosineCritic", latent=LATENT, embedding_size=EMBEDDING)
    whole = contrast(torch.zeros(rows * times, rows * times), origin(rows, times), critic)
    source = replace(whole.source, **changes)
    valid = torch.ones(rows * times, dtype=torch.bool)
    return Pairs(0, critic, source.latents, source.embeddings, whole.anchors, valid, lambda: source), replace(whole, source=source)


def chosen(strategy, pairs: Pairs, seed: int, most: int) -> list[Contrast]:
    """What a strategy makes of each block, as the objective lets it."""
    found = []

    def weigh(make_one, own):
        found.append(strategy(make_one(), own))
        nothing = found[-1].scores[:, 0]
        return nothing, nothing, ContrastiveStats.of(found[-1].scores, found[-1].log_weights)

    blocks = blocks_of(len(pairs.valid), most)
    tell(weigh, [lambda rows=rows: pairs.block("row", rows) for rows in blocks], DYNAMICS, seed_of(seed))
    return found


def _parts(belief: Latent) -> list[Tensor]:
    return [belief.stochastic, belief.deterministic, *belief.statistics.values()]
