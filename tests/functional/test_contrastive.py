"""The contrastive bounds: laws, a naive double loop, gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.functional import contrastive
from tests.tiny import normal, seeded

FEW = settings(max_examples=20, deadline=None)


def mask(size: int, candidates: int, seed: int) -> torch.Tensor:
    """A random selection to which the positives belong."""
    kept = torch.rand(size, candidates, generator=seeded(seed)) < 0.6
    kept |= torch.eye(size, candidates, dtype=torch.bool)
    return torch.zeros(size, candidates).masked_fill(~kept, -torch.inf)


def naive(scores: torch.Tensor, weights: torch.Tensor) -> list[float]:
    size, candidates = scores.shape
    losses = []
    for i in range(size):
        total = sum(math.exp(scores[i, j] + weights[i, j]) for j in range(candidates))
        losses.append(math.log(total) - float(scores[i, i]))
    return losses


def test_uniform_scores_cost_the_log_of_the_number_of_candidates():
    weights = mask(6, 6, seed=0)
    counted = (weights == 0).sum(dim=1)
    assert torch.allclose(contrastive.infonce_loss(torch.zeros(6, 6), weights), counted.log())
    assert torch.allclose(contrastive.log_candidates(weights), counted.log())


def test_a_constant_of_each_row_changes_nothing_and_one_of_each_column_does():
    scores, weights, constant = normal(5, 5), mask(5, 5, seed=1), normal(5, 1, seed=2)
    before = contrastive.infonce_loss(scores, weights)
    assert torch.allclose(contrastive.infonce_loss(scores + constant, weights), before, atol=1e-5)
    assert (contrastive.infonce_loss(scores + constant.T, weights) - before).abs().max() > 0.1


@given(size=st.integers(1, 8), extra=st.integers(0, 4), seed=st.integers(0, 1000), scale=st.sampled_from([0.1, 1.0, 30.0]))
@FEW
def test_the_estimate_never_exceeds_its_ceiling(size, extra, seed, scale):
    scores, weights = scale * normal(size, size + extra, seed=seed), mask(size, size + extra, seed)
    ceiling = contrastive.log_candidates(weights)
    estimate = ceiling - contrastive.infonce_loss(scores, weights)
    assert (estimate <= ceiling + 1e-5).all()


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


def test_permuting_anchors_with_their_candidates_permutes_the_losses():
    scores, weights = normal(7, 7), mask(7, 7, seed=4)
    order = torch.randperm(7, generator=seeded(5))
    moved = contrastive.infonce_loss(scores[order][:, order], weights[order][:, order])
    assert torch.allclose(moved, contrastive.infonce_loss(scores, weights)[order], atol=1e-6)


def test_extra_candidates_cost_in_any_order():
    scores, weights = normal(4, 7), mask(4, 7, seed=6)
    order = torch.tensor([0, 1, 2, 3, 6, 4, 5])
    assert torch.allclose(contrastive.infonce_loss(scores[:, order], weights[:, order]), contrastive.infonce_loss(scores, weights))
    assert (contrastive.infonce_loss(scores, weights) > contrastive.infonce_loss(scores[:, :4], weights[:, :4])).all()


@given(size=st.integers(1, 6), extra=st.integers(0, 3), seed=st.integers(0, 1000))
@FEW
def test_it_equals_a_double_loop(size, extra, seed):
    scores = normal(size, size + extra, seed=seed)
    weights = mask(size, size + extra, seed) + normal(size, size + extra, seed=seed + 1).tril(-1)
    assert torch.allclose(contrastive.infonce_loss(scores, weights), torch.tensor(naive(scores, weights)), atol=1e-4)


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
