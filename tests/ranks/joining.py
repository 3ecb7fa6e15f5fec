"""The functions that join ranks, and their gradients, on numbers that tell ranks and rows apart."""

from typing import Any

import torch

from framework.contrastive.origin import Origin
from framework.functional import ranks
from framework.functional.random import normal, uniform
from framework.testing.samples import key_of
from tests.ranks.cases import SIZE


def rows(rank: int) -> torch.Tensor:
    return torch.arange(6.0).reshape(3, 2) + 10 * rank


def joining() -> dict[str, Any]:
    """What each function gives, and the gradient of a loss that differs between ranks and between copies."""
    results: dict[str, Any] = {}
    for join in (ranks.gather, ranks.gather_own_first, ranks.sum_of_all, ranks.mean_of_all):
        own = rows(ranks.rank()).requires_grad_()
        joined = join(own.T.contiguous().T)  # whose memory is not in the order of its rows
        weight = (1.0 + ranks.rank()) * (1 + torch.arange(float(joined.numel()))).reshape(joined.shape)
        (weight.T.contiguous().T * joined).sum().backward()
        results[join.__name__] = {"value": joined.detach(), "gradient": own.grad}
    flags = torch.tensor([True, ranks.rank() == 0])
    results["flags"] = ranks.gather(flags)
    results["largest"] = ranks.largest_of_all(rows(ranks.rank()))
    results["totals"] = ranks.totals(1, 0.5, ranks.rank())
    results["means"] = ranks.means_of_all([rows(ranks.rank()), rows(ranks.rank())[0]])
    results["uniform"], results["normal"] = uniform(key_of(1), 3, 2), normal(key_of(1), 3, 2)
    own = rows(ranks.rank())
    with ranks.alone():
        results["alone"] = ranks.gather(own)
        results["whole uniform"], results["whole normal"] = uniform(key_of(1), SIZE * 3, 2), normal(key_of(1), SIZE * 3, 2)
    results["origin"] = vars(Origin.of(torch.full((2, 3), ranks.rank())).of_all_ranks())
    return results
