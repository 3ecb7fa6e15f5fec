"""Weights on the negatives: against naive loops, at the settings where they are InfoNCE, and where the answer is known."""

import math

import pytest
import torch

from framework.contrastive.contrast import Contrast
from framework.functional import contrastive
from framework.negatives.cross_sequence import CrossSequence
from framework.negatives.debiased import Debiased
from framework.negatives.decoupled import Decoupled
from framework.negatives.hard_weighted import HardWeighted
from framework.negatives.in_batch import InBatch
from framework.negatives.top_k import TopK
from framework.testing.samples import contrast, key_of, normal, origin
from tests.members import factory


def example(scale: float = 1.0, seed: int = 0) -> Contrast:
    return contrast(scale * normal(12, 12, seed=seed), origin(3, 4))


def losses(strategy, contrasted: Contrast) -> torch.Tensor:
    chosen = strategy(contrasted, key_of(0))
    return contrastive.infonce_loss(chosen.scores, chosen.log_weights)


def kept_by(of, i: int) -> list[int]:
    """The negatives of an anchor among three sequences of four."""
    return [j for j in range(12) if j != i and (of is InBatch or j // 4 != i // 4)]


@pytest.mark.parametrize("strategy", [Debiased(positive_share=0.0), HardWeighted(beta=0.0)])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_a_weighting_at_zero_is_infonce_to_float_precision(strategy, scale):
    scores = (scale * normal(12, 12)).requires_grad_()
    actual, expected = losses(strategy, contrast(scores, origin(3, 4))), losses(InBatch(), contrast(scores, origin(3, 4)))
    assert torch.allclose(actual, expected, rtol=1e-6, atol=2e-6)
    gradients = [torch.autograd.grad(each.sum(), scores, retain_graph=True)[0] for each in (actual, expected)]
    assert torch.allclose(*gradients, atol=1e-6)


@pytest.mark.parametrize(("of", "beta"), [(InBatch, 0.5), (CrossSequence, 2.0)])
def test_hard_weights_equal_a_loop(of, beta):
    scores, actual = normal(12, 12).double(), losses(HardWeighted(beta=beta, of=of), example())
    for i in range(12):
        row = [scores[i, j].item() for j in kept_by(of, i)]
        mean = sum(math.exp(beta * f) for f in row) / len(row)
        total = sum(math.exp(beta * f) / mean * math.exp(f) for f in row)
        assert actual[i].item() == pytest.approx(math.log(math.exp(scores[i, i]) + total) - scores[i, i].item(), abs=1e-5)


@pytest.mark.parametrize(("of", "share"), [(InBatch, 0.05), (InBatch, 0.5), (CrossSequence, 0.1), (CrossSequence, 0.9)])
def test_the_debiased_sum_equals_a_loop(of, share):
    scores, actual, at_floor = normal(12, 12).double(), losses(Debiased(positive_share=share, of=of), example()), 0
    for i in range(12):
        row, positive = [scores[i, j].item() for j in kept_by(of, i)], scores[i, i].item()
        corrected = (sum(map(math.exp, row)) - share * len(row) * math.exp(positive)) / (1 - share)
        floor = len(row) * math.exp(min(row))
        at_floor += corrected < floor
        assert actual[i].item() == pytest.approx(math.log(math.exp(positive) + max(corrected, floor)) - positive, abs=1e-5)
    assert at_floor > 0 or share < 0.5


def test_a_selection_around_a_weighting_keeps_the_weights_and_their_gradient():
    scores = normal(12, 12).requires_grad_()
    weighed = HardWeighted(beta=0.7)(contrast(scores, origin(3, 4)), key_of(0))
    chosen = TopK(count=4, of=lambda: HardWeighted(beta=0.7))(contrast(scores, origin(3, 4)), key_of(0))
    stays = ~chosen.log_weights.isneginf()
    assert stays.sum(dim=1).tolist() == [5] * 12
    assert torch.equal(chosen.log_weights[stays], weighed.log_weights[stays])
    assert weighed.log_weights[stays].std() > 0.1
    gradients = [torch.autograd.grad(each.log_weights[stays].square().sum(), scores, retain_graph=True)[0] for each in (chosen, weighed)]
    assert torch.equal(*gradients)


def test_debiased_around_hard_weighted_is_the_hard_and_debiased_loss():
    """Robinson et al.: `N_g = (-tau n e^{f+} + n E_beta[e^f]) / (1 - tau)`, with the released code's weights."""
    scores, beta, share = normal(12, 12).double(), 0.7, 0.05
    actual = losses(Debiased(positive_share=share, of=lambda: HardWeighted(beta=beta)), example())
    for i in range(12):
        row, positive = torch.tensor([scores[i, j] for j in kept_by(InBatch, i)]), scores[i, i].exp()
        weights = (beta * row).exp()
        hard = (weights * row.exp()).sum() / weights.mean()
        total = ((hard - share * len(row) * positive) / (1 - share)).clamp(min=len(row) * row.min().exp())
        assert actual[i].item() == pytest.approx(math.log((positive + total) / positive), abs=1e-5)


@pytest.mark.parametrize("strategy", [Debiased(), Debiased(positive_share=0.9), HardWeighted(), HardWeighted(beta=10.0)])
@pytest.mark.parametrize("scale", [1e2, 1e6])
def test_enormous_scores_have_finite_weights_and_gradients(strategy, scale):
    scores = (scale * normal(12, 12)).requires_grad_()
    chosen = strategy(contrast(scores, origin(3, 4)), key_of(0))
    assert chosen.log_weights.isfinite().all()
    loss = contrastive.infonce_loss(chosen.scores, chosen.log_weights)
    assert loss.isfinite().all()
    assert torch.autograd.grad(loss.sum(), scores)[0].isfinite().all()


def test_a_row_at_its_floor_gives_its_negatives_no_gradient():
    scores = normal(12, 12)
    scores[0, 0] = 20.0
    scores.requires_grad_()
    (gradient,) = torch.autograd.grad(losses(Debiased(), contrast(scores, origin(3, 4))).sum(), scores)
    assert torch.allclose(gradient[0, 1:], torch.zeros(11), atol=1e-7)
    assert (gradient[1, torch.arange(12) != 1] > 0).all()


def test_hard_weighted_has_gradients_through_its_weights():
    scores = (2 * normal(12, 12)).requires_grad_()
    chosen = HardWeighted()(contrast(scores, origin(3, 4)), key_of(0))
    flowing = contrastive.infonce_loss(chosen.scores, chosen.log_weights)
    fixed = contrastive.infonce_loss(chosen.scores, chosen.log_weights.detach())
    through, without = (torch.autograd.grad(each.sum(), scores, retain_graph=True)[0] for each in (flowing, fixed))
    assert (without[chosen.negative] > 0).all()
    assert (through[chosen.negative] < 0).any()


@pytest.mark.parametrize("of", [InBatch, CrossSequence])
def test_decoupled_adds_the_log_of_the_mass_of_the_negatives_to_infonce(of):
    whole = of()(example(2.0), key_of(0))
    left = torch.softmax(whole.scores + whole.log_weights, dim=1).diagonal()
    expected = contrastive.infonce_loss(whole.scores, whole.log_weights) + torch.log1p(-left)
    assert torch.allclose(losses(Decoupled(of=of), example(2.0)), expected, atol=1e-5)


def test_an_anchor_without_negatives_keeps_its_positive():
    for name in ("Decoupled", "Debiased", "HardWeighted"):
        strategy = factory("negatives", name)(of=CrossSequence)
        scores = normal(4, 4).requires_grad_()
        actual = losses(strategy, contrast(scores, origin(1, 4)))
        assert torch.allclose(actual, torch.zeros(4))
        assert torch.autograd.grad(actual.sum(), scores)[0].isfinite().all()
