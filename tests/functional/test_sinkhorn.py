"""Balanced assignment beside its reference: an enumerated optimum, and large scores."""

import torch

from framework.functional.sinkhorn import sinkhorn
from framework.testing.samples import normal


def test_a_small_epsilon_finds_the_balanced_assignment_of_the_highest_score():
    """Of all 2-by-2 splits, enumerated; sample 2 scores higher with the first prototype, but least so."""
    scores = torch.tensor([[1.0, 0.0], [0.9, 0.0], [0.8, 0.7], [0.1, 0.3]])
    best = max(
        ((a, b, c, d) for a in (0, 1) for b in (0, 1) for c in (0, 1) for d in (0, 1) if a + b + c + d == 2),
        key=lambda split: sum(float(scores[row, column]) for row, column in enumerate(split)),
    )
    assert best == (0, 0, 1, 1)
    assert sinkhorn(scores, epsilon=0.02, iterations=200).argmax(dim=1).tolist() == list(best)


def test_large_scores_do_not_overflow():
    shares = sinkhorn(100 * normal(9, 5), epsilon=0.0125, iterations=3)
    assert shares.isfinite().all()
    assert torch.allclose(shares.sum(dim=1), torch.ones(9), atol=1e-5)
