"""TPC beside its reference: a categorical latent, invariance, collapse, gradients and metrics."""

from dataclasses import replace

import pytest
import torch

from framework.objectives.temporal_predictive import TemporalPredictive
from framework.testing.samples import DYNAMICS, ROWS, TIMES, example, key_of, latent_spec, objective_sizes, requiring_gradient
from tests.members import build, factory


def make(kind="gaussian", critic="GaussianCritic", negatives="SameTimestep", **settings) -> TemporalPredictive:
    torch.manual_seed(0)
    parts = {"critic": factory("critics", critic), "negatives": factory("negatives", negatives)}
    return build("objectives", "TemporalPredictive", **objective_sizes(latent_spec(kind)), **(parts | settings))


def test_a_categorical_latent_has_no_noise_and_the_cross_entropy_of_its_prior():
    spec = latent_spec("categorical")
    objective, sample = make("categorical", "CategoricalCritic", warm_up=2), example(spec)
    losses, _ = objective(sample, DYNAMICS, key_of(0))
    logits = sample.prior.statistics["logits"].unflatten(-1, (2, 2)).log_softmax(dim=-1).flatten(-2)
    densities = torch.einsum("btz,ctz->tbc", sample.posterior.stochastic, logits)
    own = densities.diagonal(dim1=1, dim2=2).T
    of_warm_up = TIMES / (TIMES - 2)
    assert torch.allclose(losses["consistency"][:, 2:], -of_warm_up * own[:, 2:], atol=1e-5)
    assert torch.allclose(losses["temporal_predictive"][:, 2:], of_warm_up * (densities.logsumexp(dim=2).T - own)[:, 2:], atol=1e-5)
    assert (losses["temporal_predictive"][:, :2] == 0).all()
    assert (losses["static_predictive"] > 0).all()


def test_the_histories_of_the_warm_up_are_no_candidates():
    sample, objective = example(), make(negatives="InBatch", warm_up=1)
    changed = sample.prior.map(torch.clone)
    changed.statistics["mean"][:, 0] += 3.0
    one, other = (objective(replace(sample, prior=each), DYNAMICS, key_of(0))[0] for each in (sample.prior, changed))
    assert torch.equal(one["temporal_predictive"], other["temporal_predictive"])
    assert torch.equal(one["consistency"], other["consistency"])


def test_metrics_are_of_the_temporal_contrast_and_of_the_static_one():
    objective, sample = make(), example()
    losses, metrics = objective(sample, DYNAMICS, key_of(0))
    ceiling = torch.tensor(float(ROWS)).log().item()
    assert metrics["contrastive/ceiling"].item() == pytest.approx(ceiling)
    assert metrics["contrastive/estimate"].item() == pytest.approx(ceiling - losses["temporal_predictive"].mean().item(), abs=1e-5)
    assert metrics["contrastive/static_estimate"].item() == pytest.approx(ceiling - losses["static_predictive"].mean().item(), abs=1e-5)
    across = make(negatives="CrossSequence")(sample, DYNAMICS, key_of(0))[1]
    assert (metrics["contrastive/is_lower_bound"].item(), across["contrastive/is_lower_bound"].item()) == (1, 0)


def test_each_loss_has_gradients_to_its_own_inputs():
    objective, sample = make(), example()
    posterior, prior = requiring_gradient(sample.posterior), requiring_gradient(sample.prior)
    embedding = sample.embedding.clone().requires_grad_()
    losses, _ = objective(replace(sample, posterior=posterior, prior=prior, embedding=embedding), DYNAMICS, key_of(0))
    leaves = [posterior.statistics["mean"], prior.statistics["mean"], prior.statistics["std"], embedding]
    expected = {
        "temporal_predictive": [True, True, True, False],
        "static_predictive": [True, False, False, True],
        "consistency": [True, True, True, False],
        "centering": [True, False, False, False],
    }
    for name, reached in expected.items():
        reaching = torch.autograd.grad(losses[name].sum(), leaves, retain_graph=True, allow_unused=True)
        assert [gradient is not None and bool(gradient.abs().sum() > 0) for gradient in reaching] == reached, name


def test_diagnostics_have_the_mass_on_false_negatives_and_the_smallest_sigma():
    diagnosed = make(negatives="WithinSequence").diagnose(example(), DYNAMICS, key_of(0))
    assert set(diagnosed) == {f"contrastive/{name}" for name in ("own_sequence_mass", "sigma_smallest")}
    assert diagnosed["contrastive/own_sequence_mass"] > 0
    assert make().diagnose(example(), DYNAMICS, key_of(0))["contrastive/own_sequence_mass"] == 0
