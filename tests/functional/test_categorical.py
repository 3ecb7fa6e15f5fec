"""Groups of categorical variables beside their reference: samples, and straight-through gradients."""

import torch

from framework.functional.categorical import gumbel, mixed_log_probabilities, straight_through
from framework.testing.samples import normal, seeded


def test_samples_are_one_hot_and_follow_the_probabilities():
    logits = torch.tensor([0.0, 1.0, 2.0, 1.0, 0.0, -1.0])
    log_probabilities = mixed_log_probabilities(logits, classes=3, unimix=0.0).expand(40_000, 6)
    sample = straight_through(log_probabilities, gumbel(40_000, 6, generator=seeded()), classes=3)
    grouped = sample.reshape(-1, 2, 3)
    assert torch.allclose(grouped.sum(dim=-1), torch.ones(40_000, 2), atol=1e-5)
    assert ((grouped - grouped.round()).abs() < 1e-5).all()
    assert torch.allclose(sample.mean(dim=0), log_probabilities[0].exp(), atol=0.01)


def test_the_gradient_is_that_of_the_probabilities():
    logits, weight = normal(3, 8).requires_grad_(), normal(3, 8, seed=1)
    log_probabilities = mixed_log_probabilities(logits, classes=4, unimix=0.01)
    sample = straight_through(log_probabilities, gumbel(3, 8, generator=seeded()), classes=4)
    gradient, expected = (
        torch.autograd.grad((each * weight).sum(), logits, retain_graph=True)[0] for each in (sample, log_probabilities.exp())
    )
    assert torch.allclose(gradient, expected, atol=1e-6)
    assert expected.any()
