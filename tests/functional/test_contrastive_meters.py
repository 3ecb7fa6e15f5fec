"""What the score matrix says of itself: literal numbers."""

import math

import pytest
import torch

from framework.functional import contrastive
from framework.functional.contrastive import ContrastiveStats
from tests.tiny import normal

SCORES = torch.tensor([[3.0, 1.0, 2.0], [5.0, 4.0, 0.0], [6.0, 0.0, 1.0]])
ALL = torch.zeros(3, 3)


def test_accuracy_counts_the_positives_that_score_highest():
    assert contrastive.accuracy(SCORES, ALL).item() == pytest.approx(1 / 3)
    assert contrastive.accuracy(SCORES.T, ALL).item() == pytest.approx(1 / 3)
    weights = ALL.clone()
    weights[1, 0] = weights[2, 0] = -torch.inf
    assert contrastive.accuracy(SCORES, weights).item() == 1
    assert contrastive.accuracy(SCORES.T, weights.T).item() == pytest.approx(2 / 3)


def test_accuracy_counts_a_positive_that_has_no_weight_and_no_tie():
    weights = ALL.masked_fill(torch.eye(3, dtype=torch.bool), -torch.inf)
    assert contrastive.accuracy(SCORES, weights).item() == pytest.approx(1 / 3)
    assert contrastive.accuracy(torch.zeros(3, 3), ALL).item() == 0


def test_hits_are_the_anchors_that_accuracy_counts():
    assert ContrastiveStats.of(SCORES, ALL).hits.tolist() == [True, False, False]


def test_an_anchor_is_alone_if_nothing_but_its_positive_is_kept():
    weights = torch.zeros(4, 5)
    weights[1, [0, 2, 3, 4]] = -torch.inf
    weights[2, :4] = -torch.inf
    weights[3] = -torch.inf
    weights[0, 1:4] = -2.5
    assert contrastive.alone(weights).tolist() == [False, True, False, True]


def test_a_mean_over_some_ignores_what_the_others_have():
    values = torch.tensor([1.0, torch.nan, 3.0, torch.inf])
    assert contrastive.mean_where(values, torch.tensor([True, False, True, False])) == 2
    assert contrastive.mean_where(values, torch.zeros(4, dtype=torch.bool)) == 0
    assert contrastive.mean_where(torch.tensor([True, False]), torch.tensor([True, True])) == 0.5


def test_the_negative_mean_leaves_positives_and_masked_candidates_out():
    assert ContrastiveStats.of(SCORES, ALL).negative_mean.item() == pytest.approx(14 / 6)
    weights = ALL.clone()
    weights[2, 0] = -torch.inf
    spoilt = SCORES.masked_fill(weights.isneginf(), torch.nan)
    assert ContrastiveStats.of(spoilt, weights).negative_mean.item() == pytest.approx(8 / 5)


def test_the_share_on_the_own_group_is_the_softmax_mass_of_its_negatives():
    own = torch.tensor([0, 0, 1])
    mass = [math.exp(1) / sum(map(math.exp, (3, 1, 2))), math.exp(5) / sum(map(math.exp, (5, 4, 0))), 0.0]
    assert contrastive.share_on(SCORES, ALL, own, own).item() == pytest.approx(sum(mass) / 3)


def test_the_share_of_uniform_scores_counts_them():
    own = torch.arange(12) // 4
    assert contrastive.share_on(torch.zeros(12, 12), torch.zeros(12, 12), own, own).item() == pytest.approx(3 / 12)


def test_the_share_ignores_masked_candidates():
    own = torch.zeros(3, dtype=torch.long)
    weights = torch.zeros(3, 3).masked_fill(~torch.eye(3, dtype=torch.bool), -torch.inf)
    assert contrastive.share_on(SCORES, weights, own, own).item() == 0


@pytest.mark.parametrize("rank", [1, 3, 8])
@pytest.mark.parametrize("shape", [(256, 16), (16, 64)])
def test_the_effective_rank_counts_equal_directions(rank, shape):
    rows, size = shape
    basis, _ = torch.linalg.qr(normal(size, size, seed=1))
    weights, _ = torch.linalg.qr(normal(rows, rows, seed=2) - normal(rows, rows, seed=2).mean(dim=0))
    embedding = weights[:, :rank] @ basis[:rank]
    assert contrastive.effective_rank(7 * embedding + 5).item() == pytest.approx(rank, rel=0.02)


def test_the_effective_rank_of_a_large_collapsed_embedding_is_one():
    """Rounding in a thousand empty directions must not read as a quarter of a direction."""
    collapsed = normal(1500, 1) @ normal(1, 1024, seed=1)
    assert contrastive.effective_rank(collapsed).item() == pytest.approx(1.0, abs=0.01)


def test_the_effective_rank_of_noise_is_nearly_full():
    assert contrastive.effective_rank(normal(4000, 8)).item() == pytest.approx(8, rel=0.01)


def test_the_effective_rank_is_the_entropy_of_the_singular_values():
    spread = torch.tensor([4.0, 2.0, 1.0, 1.0])
    embedding, _ = torch.linalg.qr(normal(50, 5) - normal(50, 5).mean(dim=0))
    share = spread / 8
    expected = (-(share * share.log()).sum()).exp().item()
    assert contrastive.effective_rank(embedding[:, :4] * spread).item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("cells", [1, 25, 33, 1000])
def test_what_stands_in_blocks_of_rows_is_what_stands(cells):
    """In blocks of one, two and three of eight rows, and of all; with extra candidates, a row alone and a row without its positive."""
    scores, weights = normal(8, 11), torch.zeros(8, 11).masked_fill(normal(8, 11, seed=1) > 0.4, -torch.inf)
    weights.fill_diagonal_(0.0)
    weights[2] = -torch.inf
    weights[2, 2] = 0.0
    weights[5, 5] = -torch.inf
    found = ContrastiveStats.of(scores, weights, cells)
    for row in range(8):
        others = [scores[row, column].item() for column in range(11) if column != row and weights[row, column] == 0]
        assert found.positive[row] == scores[row, row]
        assert found.negatives[row] == len(others)
        assert found.negative_sum[row].item() == pytest.approx(sum(others), abs=1e-5)
        assert found.highest_negative[row].item() == max(others, default=-math.inf)
        assert found.alone[row] == (not others) == (row == 2)
        assert found.hits[row] == (scores[row, row].item() > max(others, default=-math.inf))
    assert found.largest == scores.masked_fill(weights.isneginf(), -torch.inf).max()
    assert torch.equal(found.log_candidates, contrastive.log_candidates(weights))
