"""What every bound promises."""

import math
from dataclasses import replace

import pytest
import torch

from framework.contrastive.pairs import PositivePairs
from tests.contracts.checks import assert_reaches, unchanged
from tests.members import build
from tests.tiny import LATENT, contrast, normal, origin


@pytest.fixture
def bound(bound_name):
    return build("bounds", bound_name, latent=LATENT, embedding_size=5)


@pytest.fixture
def critic():
    return build("critics", "BilinearCritic", latent=LATENT, embedding_size=5)


def example(critic, seed: int = 0):
    return contrast(torch.zeros(12, 12), origin(3, 4), critic, seed=seed)


def test_it_gives_one_number_for_each_anchor_up_to_its_cap(bound, critic):
    for value in (bound.estimate(example(critic)), bound.loss(example(critic))):
        assert value.shape == (12,)
        assert value.dtype == torch.float32
        assert value.isfinite().all()
    assert not bound.capped or (bound.estimate(example(critic)) <= math.log(12) + 1e-5).all()


def test_an_anchor_depends_on_the_others_only_where_it_joins_anchors(bound, critic):
    """Of blocks of 5 anchors and of all; an anchor without a negative is among them."""
    whole = example(critic)
    pairs = PositivePairs(critic, whole.source, whole.anchors, torch.ones(12, dtype=torch.bool))
    blocks = [pairs.contrast("row", slice(first, min(first + 5, 12))) for first in (0, 5, 10)]
    lonely = [block.keep((block.anchors.time != 3)[:, None].expand_as(block.scores)) for block in (whole, *blocks)]
    for function in (bound.loss, bound.estimate):
        for all_, *parts in ((whole, *blocks), lonely):
            alike = torch.allclose(torch.cat([function(part) for part in parts]), function(all_), atol=1e-5)
            assert alike or bound.joins_anchors
    assert bound.joins_anchors != torch.allclose(bound.estimate(blocks[0]), bound.estimate(whole)[:5], atol=1e-5)


def test_a_masked_candidate_changes_nothing(bound, critic):
    left_out = torch.zeros(12, 12).masked_fill((normal(12, 12, seed=3) > 0.5) & ~torch.eye(12, dtype=torch.bool), -torch.inf)
    changed = example(critic).weigh(left_out)
    changed = replace(changed, scores=changed.scores.masked_fill(left_out.isneginf(), 1e6))
    clean = example(critic).weigh(left_out)
    assert torch.allclose(bound.estimate(changed), bound.estimate(clean))
    assert torch.allclose(bound.loss(changed), bound.loss(clean))


def test_an_anchor_without_negatives_has_finite_values_and_gradients(bound, critic):
    lonely = example(critic).keep((torch.arange(12) > 3)[:, None].expand(12, 12))
    lonely = replace(lonely, scores=lonely.scores.detach().requires_grad_())
    loss = bound.loss(lonely)
    (gradient,) = torch.autograd.grad(loss.sum(), lonely.scores)
    assert all(value.isfinite().all() for value in (loss, bound.estimate(lonely), gradient))


def test_the_loss_raises_the_positives_and_lowers_the_negatives(bound, critic):
    if bound.side == "upper":
        return
    contrasted = example(critic)
    scores = contrasted.scores.detach().requires_grad_()
    moved = replace(contrasted, scores=scores)
    (gradient,) = torch.autograd.grad(bound.loss(moved).mean(), scores)
    assert (gradient.diagonal() < 0).all()
    assert (gradient[contrasted.negative] >= 0).all()
    assert (gradient[contrasted.negative] > 0).any()


def test_the_loss_and_the_estimate_together_are_each_of_them(bound, critic):
    loss, estimate = bound.loss_and_estimate(example(critic))
    assert torch.allclose(loss, bound.loss(example(critic)), atol=1e-5)
    assert torch.allclose(estimate, bound.estimate(example(critic)), atol=1e-5)
    assert loss.requires_grad
    assert not estimate.requires_grad


def test_every_parameter_learns(bound, critic):
    parameters = list(bound.parameters())
    if parameters:
        assert_reaches(bound.loss(example(critic)).mean(), parameters)


def test_a_loss_and_an_estimate_have_no_side_effect(bound, critic):
    with unchanged(bound):
        bound.loss(example(critic))
        bound.estimate(example(critic))


def test_its_state_changes_after_an_update_only_where_it_is_stateful(bound, critic):
    before = {name: value.clone() for name, value in bound.state_dict().items()}
    bound.after_update(example(critic))
    changed = any(not torch.equal(before[name], value) for name, value in bound.state_dict().items())
    assert changed == bound.is_stateful


def test_constant_scores_have_an_estimate_of_zero(bound, critic):
    """At the score that is best where latent and observation are independent."""
    constant = replace(example(critic), scores=torch.full((12, 12), bound.baseline))
    assert bound.estimate(constant).mean().item() == pytest.approx(0.0, abs=0.02)
