"""Statistics of a score matrix: literal numbers, and loops."""

import math

import pytest
import torch

from framework.contrastive.contrast import Contrast
from framework.contrastive.metrics import ContrastiveStats, contrastive_metrics
from framework.functional import contrastive
from framework.testing.samples import normal, origin

SCORES = torch.tensor([[3.0, 1.0, 2.0], [5.0, 4.0, 0.0], [6.0, 0.0, 1.0]])
ALL = torch.zeros(3, 3)


def test_accuracy_counts_the_positives_that_score_highest():
    assert contrastive.accuracy(SCORES, ALL).item() == pytest.approx(1 / 3)
    assert contrastive.accuracy(SCORES.T, ALL).item() == pytest.approx(1 / 3)
    weights = ALL.clone()
    weights[1, 0] = weights[2, 0] = -torch.inf
    assert contrastive.accuracy(SCORES, weights).item() == 1
    assert contrastive.accuracy(SCORES.T, weights.T).item() == 1 / 2, "the first has no negative"
    assert contrastive.accuracy(SCORES, torch.eye(3).log()).item() == 0


def test_an_anchor_is_alone_where_only_its_positive_is_kept():
    weights = torch.zeros(4, 5)
    weights[1, [0, 2, 3, 4]] = -torch.inf
    weights[2, :4] = -torch.inf
    weights[3] = -torch.inf
    weights[0, 1:4] = -2.5
    assert contrastive.alone(weights).tolist() == [False, True, False, True]


def test_a_mean_over_some_anchors_ignores_the_values_of_others():
    values = torch.tensor([1.0, torch.nan, 3.0, torch.inf])
    assert contrastive.mean_where(values, torch.tensor([True, False, True, False])) == 2
    assert contrastive.mean_where(values, torch.zeros(4, dtype=torch.bool)) == 0
    assert contrastive.mean_where(torch.tensor([True, False]), torch.tensor([True, True])) == 0.5


def test_the_mass_on_the_own_group_is_that_of_the_softmax_on_its_negatives():
    own = torch.tensor([0, 0, 1])
    mass = [math.exp(1) / sum(map(math.exp, (3, 1, 2))), math.exp(5) / sum(map(math.exp, (5, 4, 0))), 0.0]
    assert contrastive.own_group_mass(SCORES, ALL, own, own).item() == pytest.approx(sum(mass) / 3)
    alone = torch.eye(3).log()
    assert contrastive.own_group_mass(SCORES, alone, own, own).item() == 0


def test_the_effective_rank_of_a_large_collapsed_embedding_is_one():
    """Rounding errors in a thousand empty directions must not add up to a quarter of a direction."""
    collapsed = normal(1500, 1) @ normal(1, 1024, seed=1)
    assert contrastive.effective_rank(collapsed).item() == pytest.approx(1.0, abs=0.01)


def test_the_effective_rank_is_the_entropy_of_the_singular_values():
    spread = torch.tensor([4.0, 2.0, 1.0, 1.0])
    embedding, _ = torch.linalg.qr(normal(50, 5) - normal(50, 5).mean(dim=0))
    share = spread / 8
    expected = (-(share * share.log()).sum()).exp().item()
    assert contrastive.effective_rank(embedding[:, :4] * spread).item() == pytest.approx(expected, rel=1e-3)


def test_the_statistics_of_each_anchor_equal_loops_and_their_means_are_over_valid_anchors():
    """With extra candidates, an anchor alone and one without its positive."""
    scores, weights = normal(8, 11), torch.zeros(8, 11).masked_fill(normal(8, 11, seed=1) > 0.4, -torch.inf)
    weights.fill_diagonal_(0.0)
    weights[2] = -torch.inf
    weights[2, 2] = 0.0
    weights[5, 5] = -torch.inf
    steps = origin(2, 4)
    contrast = Contrast(scores, weights, steps, steps.followed_by(torch.arange(3)))
    stats = ContrastiveStats.of(contrast, scores.diagonal() / 2)
    others = [[scores[i, j].item() for j in range(11) if j != i and weights[i, j] == 0] for i in range(8)]
    assert torch.equal(stats.positive, scores.diagonal())
    assert stats.negatives.tolist() == [len(row) for row in others]
    assert stats.negative_sum.tolist() == pytest.approx([sum(row) for row in others], abs=1e-5)
    assert stats.highest_negative.tolist() == [max(row, default=-math.inf) for row in others]
    assert torch.equal(stats.log_candidates, contrastive.log_candidates(weights))
    valid = torch.arange(8) < 6
    metrics = contrastive_metrics([stats], [valid], is_lower_bound=True)
    expected = {
        "estimate": scores.diagonal()[:6].mean().item() / 2,
        "ceiling": contrastive.log_candidates(weights)[:6].mean().item(),
        "alone": 1 / 6,
        "is_lower_bound": 1.0,
        "accuracy": sum(scores[i, i].item() > max(others[i]) for i in range(6) if others[i]) / 5,
        "positive_score": scores.diagonal()[:6].mean().item(),
        "negative_score": sum(map(sum, others)) / sum(map(len, others)),
        "largest_score": scores.masked_fill(weights.isneginf(), -torch.inf).max().item(),
    }
    assert {name.removeprefix("contrastive/"): value.item() for name, value in metrics.items()} == pytest.approx(expected, abs=1e-5)
