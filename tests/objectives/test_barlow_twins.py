"""R2-Dreamer's objective: one number for the batch, from the correlations of a map of the latent with the embedding."""

import pytest
import torch

from framework.errors import UserError
from framework.objectives.barlow_twins import BarlowTwins
from tests.tiny import DYNAMICS, ROWS, TIMES, batch, inferred, key_of, latent, normal, objective_sizes, requiring_gradient


def make(**settings) -> BarlowTwins:
    torch.manual_seed(0)
    return BarlowTwins(**objective_sizes(), **settings)


def example(scale=1.0, shift=0.0):
    return inferred(latent(ROWS, TIMES), latent(ROWS, TIMES, seed=5), scale * normal(ROWS, TIMES, 5, seed=3) + shift, batch())


def test_the_loss_is_equal_at_every_step_and_invariant_to_the_scale_of_the_embedding():
    objective = make()
    loss = objective(example(), DYNAMICS, key_of(0))[0]["barlow"]
    assert (loss == loss[0, 0]).all()
    other = objective(example(7.0, -2.0), DYNAMICS, key_of(0))[0]["barlow"]
    assert torch.allclose(loss, other, rtol=1e-3)


def test_the_loss_is_zero_where_all_correlations_are_those_of_the_identity():
    """An orthogonal embedding that the map copies from the latent."""
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
    assert losses["barlow"][0, 0].item() == pytest.approx(0, abs=1e-3)
    assert metrics["model/barlow_agreement"].item() == pytest.approx(1, abs=1e-2)
    assert metrics["model/barlow_redundancy"].item() == pytest.approx(0, abs=1e-2)


def test_the_loss_equals_nested_loops_over_the_dimensions():
    objective, sample = make(redundancy=0.2), example()
    prediction = objective.map(sample.posterior.features).flatten(0, 1).detach()
    target = sample.embedding.flatten(0, 1)
    expected, diagonal = 0.0, []
    for i in range(5):
        for j in range(5):
            correlation = torch.corrcoef(torch.stack([prediction[:, i], target[:, j]]))[0, 1].item()
            expected += (1 - correlation) ** 2 if i == j else 0.2 * correlation**2
            diagonal += [correlation] if i == j else []
    losses, metrics = objective(sample, DYNAMICS, key_of(0))
    assert losses["barlow"][1, 2].item() == pytest.approx(expected, abs=1e-3)
    assert metrics["model/barlow_agreement"].item() == pytest.approx(sum(diagonal) / 5, abs=1e-3)


def test_the_embedding_has_no_gradient():
    posterior, embedding = requiring_gradient(latent(ROWS, TIMES)), normal(ROWS, TIMES, 5, seed=3).requires_grad_()
    loss = make()(inferred(posterior, posterior, embedding, batch()), DYNAMICS, key_of(0))[0]["barlow"].mean()
    of_latent, of_embedding = torch.autograd.grad(loss, [posterior.deterministic, embedding], allow_unused=True)
    assert (of_latent.abs().sum(dim=-1) > 0).all()
    assert of_embedding is None


def test_a_negative_redundancy_is_refused():
    with pytest.raises(UserError, match=r"BarlowTwins.redundancy = -1.0 must be 0 or more"):
        make(redundancy=-1.0)
