"""R2-Dreamer's objective beside its reference: the best loss with its metrics, and gradients."""

import pytest
import torch

from framework.objectives.barlow_twins import BarlowTwins
from framework.testing.samples import DYNAMICS, ROWS, TIMES, batch, inferred, key_of, latent, normal, objective_sizes, requiring_gradient


def make(**settings) -> BarlowTwins:
    torch.manual_seed(0)
    return BarlowTwins(**objective_sizes(), **settings)


def test_the_loss_is_least_where_all_correlations_are_those_of_the_identity():
    """An orthogonal embedding that the map copies from the latent: by unbiased deviations each has 1 - 1/N."""
    objective = make()
    features = torch.linalg.qr(normal(ROWS * TIMES, 5, seed=8) - normal(ROWS * TIMES, 5, seed=8).mean(dim=0)).Q
    features = (features - features.mean(dim=0)).reshape(ROWS, TIMES, 5)
    posterior = latent(ROWS, TIMES)
    posterior.stochastic.copy_(features[..., :4])
    posterior.deterministic[..., 0].copy_(features[..., 4])
    with torch.no_grad():
        objective.map.weight.copy_(torch.eye(5, 10))
    sample = inferred(posterior, posterior, features, batch())
    losses, metrics = objective(sample, DYNAMICS, key_of(0))
    assert losses["barlow"].flatten().tolist() == pytest.approx([5 / 15**2] * ROWS * TIMES, abs=1e-3)
    assert metrics["model/barlow_agreement"].item() == pytest.approx(14 / 15, abs=1e-3)
    assert metrics["model/barlow_redundancy"].item() == pytest.approx(0, abs=1e-2)


def test_the_embedding_has_no_gradient():
    posterior, embedding = requiring_gradient(latent(ROWS, TIMES)), normal(ROWS, TIMES, 5, seed=3).requires_grad_()
    loss = make()(inferred(posterior, posterior, embedding, batch()), DYNAMICS, key_of(0))[0]["barlow"].mean()
    of_latent, of_embedding = torch.autograd.grad(loss, [posterior.deterministic, embedding], allow_unused=True)
    assert (of_latent.abs().sum(dim=-1) > 0).all()
    assert of_embedding is None
