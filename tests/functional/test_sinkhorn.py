"""Balanced assignment: laws, an enumerated optimum, nested loops, literal numbers."""

import torch

from framework.functional.sinkhorn import sinkhorn
from tests.tiny import normal


def test_all_prototypes_have_the_same_mass_in_the_limit():
    shares = sinkhorn(normal(12, 4), epsilon=0.5, iterations=300)
    assert torch.allclose(shares.sum(dim=0), torch.full((4,), 3.0), atol=1e-4)
    few = sinkhorn(normal(12, 4), epsilon=0.5, iterations=1).sum(dim=0)
    assert (few - 3).abs().max() > 0.01


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
