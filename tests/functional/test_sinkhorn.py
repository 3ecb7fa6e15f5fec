"""Balanced assignment: laws, an enumerated optimum, nested loops, literal numbers."""

import math

import pytest
import torch

from framework.functional.sinkhorn import sinkhorn
from tests.tiny import normal


@pytest.mark.parametrize("iterations", [1, 3, 50])
def test_the_shares_of_a_sample_sum_to_one(iterations):
    shares = sinkhorn(normal(11, 4), epsilon=0.05, iterations=iterations)
    assert torch.allclose(shares.sum(dim=1), torch.ones(11), atol=1e-5)
    assert (shares >= 0).all()


def test_all_prototypes_have_the_same_mass_in_the_limit():
    shares = sinkhorn(normal(12, 4), epsilon=0.5, iterations=300)
    assert torch.allclose(shares.sum(dim=0), torch.full((4,), 3.0), atol=1e-4)
    few = sinkhorn(normal(12, 4), epsilon=0.5, iterations=1).sum(dim=0)
    assert (few - 3).abs().max() > 0.01


def test_constants_of_samples_and_of_prototypes_have_no_effect_in_the_limit():
    scores, of_sample, of_prototype = normal(12, 4), normal(12, 1, seed=1), normal(1, 4, seed=2)
    one, other = (sinkhorn(each, epsilon=0.5, iterations=300) for each in (scores, scores + of_sample + of_prototype))
    assert torch.allclose(one, other, atol=1e-4)


def test_a_large_epsilon_gives_equal_shares_and_a_small_one_hard_ones():
    assert torch.allclose(sinkhorn(normal(8, 4), epsilon=1e4, iterations=3), torch.full((8, 4), 0.25), atol=1e-3)
    scores = torch.eye(4)
    assert torch.allclose(sinkhorn(scores, epsilon=1e-3, iterations=3), torch.eye(4))


def test_a_small_epsilon_finds_the_balanced_assignment_of_the_highest_score():
    """Of all 2-by-2 splits, enumerated; sample 2 scores higher with the first prototype, but least so."""
    scores = torch.tensor([[1.0, 0.0], [0.9, 0.0], [0.8, 0.7], [0.1, 0.3]])
    best = max(
        ((a, b, c, d) for a in (0, 1) for b in (0, 1) for c in (0, 1) for d in (0, 1) if a + b + c + d == 2),
        key=lambda split: sum(float(scores[row, column]) for row, column in enumerate(split)),
    )
    assert best == (0, 0, 1, 1)
    assert sinkhorn(scores, epsilon=0.02, iterations=200).argmax(dim=1).tolist() == list(best)


def test_the_shares_equal_nested_loops():
    scores, epsilon, iterations = normal(6, 3), 0.3, 4
    table = [[math.exp(scores[n, k].item() / epsilon) for k in range(3)] for n in range(6)]
    for _ in range(iterations):
        columns = [sum(table[n][k] for n in range(6)) for k in range(3)]
        table = [[table[n][k] / columns[k] for k in range(3)] for n in range(6)]
        table = [[each / sum(row) for each in row] for row in table]
    assert torch.allclose(sinkhorn(scores, epsilon, iterations), torch.tensor(table), atol=1e-5)


def test_large_scores_do_not_overflow():
    shares = sinkhorn(100 * normal(9, 5), epsilon=0.0125, iterations=3)
    assert shares.isfinite().all()
    assert torch.allclose(shares.sum(dim=1), torch.ones(9), atol=1e-5)
