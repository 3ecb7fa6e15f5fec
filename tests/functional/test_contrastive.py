"""The contrastive bounds: laws, a naive double loop, gradients."""

import math

import pytest
import torch

from framework.functional import contrastive
from framework.testing.samples import normal, seeded


def mask(size: int, candidates: int, seed: int) -> torch.Tensor:
    """A random selection to which the positives belong."""
    kept = torch.rand(size, candidates, generator=seeded(seed)) < 0.6
    kept |= torch.eye(size, candidates, dtype=torch.bool)
    return torch.zeros(size, candidates).masked_fill(~kept, -torch.inf)


def test_a_constant_of_each_row_changes_nothing_and_one_of_each_column_does():
    scores, weights, constant = normal(5, 5), mask(5, 5, seed=1), normal(5, 1, seed=2)
    before = contrastive.infonce_loss(scores, weights)
    assert torch.allclose(contrastive.infonce_loss(scores + constant, weights), before, atol=1e-5)
    assert (contrastive.infonce_loss(scores + constant.T, weights) - before).abs().max() > 0.1


@pytest.mark.parametrize("nonsense", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_a_masked_candidate_changes_nothing(nonsense):
    scores, weights = normal(6, 6), mask(6, 6, seed=3)
    spoilt = scores.masked_fill(weights.isneginf(), nonsense)
    results = []
    for each in (scores, spoilt):
        leaf = each.clone().requires_grad_()
        loss = contrastive.infonce_loss(leaf, weights)
        results.append((loss.detach(), *torch.autograd.grad(loss.sum(), leaf)))
    (clean_loss, clean_gradient), (loss, gradient) = results
    assert weights.isneginf().sum() > 5
    assert torch.equal(loss, clean_loss)
    assert torch.equal(gradient, clean_gradient)
    assert (gradient[weights.isneginf()] == 0).all()


def test_it_equals_a_double_loop():
    scores, weights = normal(5, 8), mask(5, 8, seed=2) + normal(5, 8, seed=1).tril(-1)
    for i in range(5):
        total = sum(math.exp(scores[i, j] + weights[i, j]) for j in range(8))
        assert contrastive.infonce_loss(scores, weights)[i].item() == pytest.approx(math.log(total) - float(scores[i, i]), abs=1e-4)
    assert (contrastive.infonce_estimate(30 * scores, mask(5, 8, seed=2)) <= contrastive.log_candidates(weights) + 1e-5).all()


def test_its_gradient_is_softmax_less_the_target():
    scores = normal(5, 5).requires_grad_()
    (rows,) = torch.autograd.grad(contrastive.infonce_loss(scores, torch.zeros(5, 5)).sum(), scores)
    assert torch.allclose(rows, scores.softmax(dim=1) - torch.eye(5), atol=1e-6)


def test_large_scores_stay_finite():
    scores = torch.tensor([[-1e6, 1e6], [1e6, -1e6]])
    assert contrastive.infonce_loss(scores, torch.zeros(2, 2)).tolist() == [2e6, 2e6]


def test_a_row_that_keeps_nothing_has_no_partition_and_no_gradient():
    weights = torch.zeros(3, 4).index_fill(0, torch.tensor([1]), -torch.inf)
    scores = normal(3, 4).requires_grad_()
    total = contrastive.log_partition(scores, weights)
    (gradient,) = torch.autograd.grad(total.sum(), scores)
    assert total[1] == -torch.inf
    assert gradient[1].eq(0).all()
    assert torch.allclose(gradient[[0, 2]], scores.softmax(dim=1)[[0, 2]])
