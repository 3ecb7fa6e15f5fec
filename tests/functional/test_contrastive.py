"""The contrastive bounds: laws, a naive double loop, gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.functional import contrastive
from framework.functional.row_blocks import row_blocks
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


@given(size=st.integers(1, 9))
@FEW
def test_uniform_scores_cost_log_n(size):
    loss = contrastive.infonce_loss(torch.full((size, size), 3.0), torch.zeros(size, size))
    assert torch.allclose(loss, torch.full((size,), math.log(size)), atol=1e-6)


def test_uniform_scores_cost_the_log_of_the_candidates_that_are_kept():
    weights = mask(6, 6, seed=0)
    counted = (weights == 0).sum(dim=1)
    assert torch.allclose(contrastive.infonce_loss(torch.zeros(6, 6), weights), counted.log())
    assert torch.allclose(contrastive.log_candidates(weights), counted.log())


def test_a_constant_of_each_row_changes_nothing():
    scores, weights, constant = normal(5, 5), mask(5, 5, seed=1), normal(5, 1, seed=2)
    before = contrastive.infonce_loss(scores, weights)
    assert torch.allclose(contrastive.infonce_loss(scores + constant, weights), before, atol=1e-5)


def test_a_constant_of_each_column_changes_the_loss():
    scores, weights, constant = normal(5, 5), mask(5, 5, seed=1), normal(1, 5, seed=2)
    before = contrastive.infonce_loss(scores, weights)
    assert (contrastive.infonce_loss(scores + constant, weights) - before).abs().max() > 0.1


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


BLOCKS = [1, 7, 8, 40, 55]
"""Numbers in a block of a matrix of 9 x 11: a row each, however small; one, three and four rows; and five, which leaves four over."""


@pytest.mark.parametrize("cells", BLOCKS)
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_partition_in_blocks_equals_the_plain_one(cells, scale):
    """Values, and gradients to the scores and to weights that depend on something; with nonsense where a mask leaves out."""
    scores, weights = scale * normal(9, 11).double(), (mask(9, 11, seed=7) + normal(9, 11, seed=8).tril(-1)).double()
    weights[3] = -torch.inf
    weights[3, 5] = 0.0
    scores = scores.masked_fill(weights.isneginf(), torch.nan)
    found = []
    for size in (1000, cells):
        leaves = (scores.clone().requires_grad_(), weights.clone().requires_grad_())
        total = contrastive.log_partition(*leaves, size)
        found.append((total.detach(), *torch.autograd.grad((total * normal(9, seed=9)).sum(), leaves)))
    assert "_InBlocks" in type(total.grad_fn).__name__
    for plain, blocks in zip(*found, strict=True):
        assert plain.isfinite().all()
        assert torch.allclose(blocks, plain, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("cells", BLOCKS)
def test_a_loss_in_blocks_equals_the_plain_one(cells):
    """Its gradient to the scores has the positive's, and the one to the weights has not; a mask that nothing depends on gets none."""
    weights = (mask(9, 11, seed=7) + normal(9, 11, seed=8).tril(-1)).double()
    found = []
    for size in (1000, cells):
        leaves = (normal(9, 11).double().requires_grad_(), weights.clone().requires_grad_())
        loss = contrastive.infonce_loss(*leaves, size)
        (alone,) = torch.autograd.grad((contrastive.infonce_loss(leaves[0], weights, size) * normal(9, seed=9)).sum(), leaves[0])
        found.append((loss.detach(), alone, *torch.autograd.grad((loss * normal(9, seed=9)).sum(), leaves)))
    assert len(found[0]) == 4
    for plain, blocks in zip(*found, strict=True):
        assert torch.allclose(blocks, plain, atol=1e-12, rtol=1e-10)
    assert torch.equal(found[1][1], found[1][2])
    assert not torch.allclose(found[1][2], found[1][3])


def test_a_row_that_keeps_nothing_has_no_partition_and_no_gradient_in_blocks_either():
    weights, found = torch.zeros(3, 4).index_fill(0, torch.tensor([1]), -torch.inf), []
    for cells in (4, 1000):
        scores = normal(3, 4).requires_grad_()
        total = contrastive.log_partition(scores, weights, cells)
        found.append((total.detach(), *torch.autograd.grad(total.sum(), scores)))
    for blocks, plain in zip(*found, strict=True):
        assert torch.allclose(blocks, plain)
    assert found[0][0][1] == -torch.inf
    assert found[0][1][1].eq(0).all()


def test_an_accelerator_has_all_rows_in_one_block():
    blocks = {device: row_blocks(torch.empty(8, 8, device=device), 16) for device in ("cpu", "meta")}
    assert blocks == {"cpu": [slice(first, first + 2) for first in (0, 2, 4, 6)], "meta": [slice(0, 8)]}


def test_a_partition_in_blocks_keeps_nothing_of_the_size_of_the_matrix():
    scores, weights, kept = normal(8, 8).requires_grad_(), torch.zeros(8, 8), []
    with torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each) or each, lambda each: each):
        contrastive.log_partition(scores, weights, 16)
    assert {each.data_ptr() for each in kept if each.ndim == 2} == {scores.data_ptr(), weights.data_ptr()}
    assert max(each.numel() for each in kept if each.ndim < 2) == 8
