"""The bounds as components: loss and estimate of each, the running mean of MINE, and what is refused."""

import math
from dataclasses import replace

import pytest
import torch

from framework.errors import UserError
from framework.functional import contrastive
from framework.testing.samples import LATENT, contrast, normal, origin, requiring_gradient
from tests.members import build, factory

WEIGHTS = torch.zeros(12, 12)


def make(name: str, **settings):
    return build("bounds", name, latent=LATENT, embedding_size=5, **settings)


def contrast_of(scores: torch.Tensor):
    return contrast(scores, origin(3, 4))


def running(bound) -> float:
    return (bound.log_mean - bound.log_share).exp().item()


def test_the_running_mean_of_mine_is_a_corrected_average():
    bound, means = make("MINE", rate=0.25), []
    for seed in range(4):
        sample = contrast_of(normal(12, 12, seed=seed))
        means.append(sample.scores[~sample.positive].exp().mean().item())
        bound.after_update(sample)
        weights = [0.25 * 0.75**k for k in reversed(range(len(means)))]
        expected = sum(w * mean for w, mean in zip(weights, means, strict=True)) / sum(weights)
        assert running(bound) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_the_gradient_of_mine_has_the_running_denominator(rate):
    bound, before = make("MINE", rate=rate), normal(12, 12, seed=3)
    bound.after_update(contrast_of(2 * before))
    sample = contrast_of(normal(12, 12).requires_grad_())
    (gradient,) = torch.autograd.grad(bound.loss(sample).mean(), sample.scores)
    (biased,) = torch.autograd.grad(make("DonskerVaradhan").loss(sample).mean(), sample.scores)
    batch = sample.scores.detach()[~sample.positive].exp().mean().item()
    (after := make("MINE", rate=rate)).load_state_dict(bound.state_dict())
    after.after_update(sample)
    change = torch.ones(12, 12).where(sample.positive, batch / running(after))
    assert torch.allclose(gradient, biased * change, atol=1e-6)
    assert (batch / running(after) == pytest.approx(1, abs=1e-5)) == (rate == 1.0)
    assert torch.allclose(bound.loss(sample), -bound.estimate(sample))


@pytest.mark.parametrize("name", ["JensenShannon", "SMILE"])
def test_the_loss_of_jensen_shannon_differs_from_the_estimate(name):
    sample = contrast_of(normal(12, 12))
    assert torch.equal(make(name).loss(sample), make("JensenShannon").loss(sample))
    assert not torch.allclose(make(name).loss(sample), -make(name).estimate(sample))


def test_interpolated_is_nwj_at_0_and_infonce_at_1():
    sample = contrast_of(normal(12, 12))
    assert torch.allclose(make("Interpolated", alpha=1.0).estimate(sample), contrastive.infonce_estimate(sample.scores, WEIGHTS), atol=1e-5)
    assert torch.allclose(make("Interpolated", alpha=0.0).estimate(sample), make("NWJ").estimate(sample), atol=1e-5)


def test_flo_is_zero_at_the_start_and_learns_from_the_pairs():
    sample = contrast(WEIGHTS, origin(3, 4), build("critics", "BilinearCritic", latent=LATENT, embedding_size=5))
    assert sample.source is not None
    source = replace(sample.source, latents=requiring_gradient(sample.source.latents), embeddings=sample.source.embeddings.requires_grad_())
    sample, bound = replace(sample, source=source, scores=torch.zeros(12, 12)), make("FLO")
    assert bound.estimate(sample).tolist() == pytest.approx([0] * 12, abs=1e-2)
    leaves = [source.latents.stochastic, source.embeddings]
    for gradient in torch.autograd.grad(bound.loss(sample).mean(), leaves):
        assert (gradient.abs().sum(dim=-1) > 0).all()


def test_flo_without_the_pairs_is_refused():
    with pytest.raises(UserError, match=r"FLO .*bind InfoNCE.axis = 'row'"):
        make("FLO").estimate(contrast_of(normal(12, 12)))


def test_the_bias_of_sigmoid_follows_the_number_of_candidates():
    """Scores that are the log ratio are best at bias 0, whether there are 12 candidates or 4."""
    for rows, times in ((3, 4), (2, 2)):
        bound, size = make("Sigmoid"), rows * times
        sample = contrast(torch.zeros(size, size), origin(rows, times))
        (gradient,) = torch.autograd.grad(bound.loss(sample).mean(), bound.bias)
        assert gradient.item() == pytest.approx(0, abs=1e-6)
        logit = -math.log(size - 1)
        expected = math.log(1 + math.exp(-logit)) + (size - 1) * math.log(1 + math.exp(logit))
        assert bound.loss(sample).tolist() == pytest.approx([expected] * size, abs=1e-5)


def test_the_estimate_of_sigmoid_is_score_plus_bias():
    bound, sample = make("Sigmoid"), contrast_of(normal(12, 12))
    torch.nn.init.constant_(bound.bias, 0.3)
    assert torch.allclose(bound.estimate(sample), sample.scores.diagonal() + 0.3)


@pytest.mark.parametrize("name", ["InfoNCEBound", "MINE", "FLO"])
def test_a_penalty_has_the_properties_of_its_bound(name):
    penalized, plain = make("Penalized", of=factory("bounds", name)), make(name)
    for attribute in ("side", "capped", "is_stateful", "needs_source", "joins_anchors", "baseline"):
        assert getattr(penalized, attribute) == getattr(plain, attribute)
    if plain.is_stateful:
        penalized.after_update(contrast_of(normal(12, 12)))
        assert running(penalized.of) > 0
