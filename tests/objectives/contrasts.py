"""InfoNCE objectives and inferred batches for its tests."""

import torch
from torch import Tensor

from framework.data import InferredBatch, Losses
from framework.objectives.infonce import InfoNCE
from framework.specs import LatentSpec
from framework.testing.checks import parts_of
from framework.testing.samples import DYNAMICS, LATENT, normal, objective_sizes, origin
from tests.members import factory

EMBEDDING = 5


def make(
    critic="BilinearCritic",
    negatives: str = "InBatch",
    bound: str = "InfoNCEBound",
    *,
    spec: LatentSpec = LATENT,
    kind: str = "both",
    settings: dict[str, int] | None = None,
    **changes,
) -> InfoNCE:
    """An objective whose queues hold some candidates; `ActionNegatives` has the prior as anchor. `settings` are of the strategy."""
    torch.manual_seed(0)
    objective = InfoNCE(
        **objective_sizes(spec, kind),
        critic=critic if callable(critic) else factory("critics", critic),
        negatives=factory("negatives", negatives, **(settings or {})),
        bound=factory("bounds", bound),
        **({"anchor": "prior"} if negatives == "ActionNegatives" else {}) | changes,
    )
    for strategy in objective.negatives.each():
        strategy.after_update(normal(3, EMBEDDING, seed=9), origin(1, 3))
    return objective


def pairs(sample: InferredBatch, steps: int) -> list[tuple[int, int]]:
    """The places that are of one episode with the one so many steps later."""
    rows, times = sample.batch.reward.shape
    return [(b, t) for b in range(rows) for t in range(times - steps) if not sample.batch.is_first[b, t + 1 : t + steps + 1].any()]


def leaves_of(example: InferredBatch) -> list[Tensor]:
    """All that may have a gradient, which is asked for."""
    assert example.extra is not None
    leaves = [*parts_of(example.posterior), *parts_of(example.prior), example.embedding, example.extra.embedding]
    return [*(leaf.requires_grad_() for leaf in leaves), *DYNAMICS.parameters()]


def gradients(objective: InfoNCE, leaves: list[Tensor], losses: Losses) -> list[Tensor | None]:
    """Of the loss of every anchor with a weight of its own."""
    weight = normal(*losses["infonce"].shape, seed=8)
    return list(torch.autograd.grad((losses["infonce"] * weight).sum(), [*leaves, *objective.parameters()], allow_unused=True))
