"""TPC: the losses against loops over the same step of the other sequences, their gradients and metrics."""

from dataclasses import replace

import pytest
import torch
from torch import distributions as td

from framework.data import Latent
from framework.errors import UserError
from framework.functional.random import fold_in
from framework.functional.random import normal as noise_of
from framework.objectives.temporal_predictive import NOISE, TemporalPredictive
from tests.members import build, factory
from tests.tiny import DYNAMICS, ROWS, TIMES, batch, inferred, key_of, latent, latent_spec, normal, objective_sizes, requiring_gradient


def make(kind="gaussian", critic="GaussianCritic", negatives="SameTimestep", **settings) -> TemporalPredictive:
    torch.manual_seed(0)
    parts = {"critic": factory("critics", critic), "negatives": factory("negatives", negatives)}
    return build("objectives", "TemporalPredictive", **objective_sizes(latent_spec(kind)), **(parts | settings))


def example(kind="gaussian", posterior=None):
    spec = latent_spec(kind)
    prior = latent(ROWS, TIMES, spec=spec, seed=5)
    if kind == "categorical":
        logits = prior.statistics["logits"].reshape(ROWS, TIMES, 2, 2).log_softmax(dim=-1)
        prior = replace(prior, statistics={"logits": logits.flatten(-2)})
    else:
        prior.statistics["std"] = 0.3 + prior.statistics["mean"].square()
    return inferred(posterior or latent(ROWS, TIMES, spec=spec), prior, normal(ROWS, TIMES, 5, seed=3), batch())


def log_density(prior, place, value):
    """Of one latent under the prior of one place."""
    if "logits" in prior.statistics:
        return (prior.statistics["logits"][place] * value).sum()
    return td.Normal(prior.statistics["mean"][place], prior.statistics["std"][place]).log_prob(value).sum()


@pytest.mark.parametrize("warm_up", [0, 2])
@pytest.mark.parametrize(
    ("kind", "critic"), [("gaussian", "GaussianCritic"), ("gaussian", "CosineCritic"), ("categorical", "CategoricalCritic")]
)
def test_losses_equal_loops_over_the_same_step_of_the_other_sequences(kind, critic, warm_up):
    objective, sample = make(kind, critic, warm_up=warm_up), example(kind)
    mean = sample.posterior.stochastic if kind == "categorical" else sample.posterior.statistics["mean"]
    noisy = mean if kind == "categorical" else mean + 0.2 * noise_of(fold_in(key_of(0), NOISE), ROWS, TIMES, 4)
    losses, _ = objective(sample, DYNAMICS, key_of(0))

    def static(b, t, c):
        one = replace(sample.posterior, stochastic=noisy).map(lambda part: part[b, t][None])
        return objective.critic(one, sample.embedding[c, t][None])[0, 0]

    for b in range(ROWS):
        for t in range(TIMES):
            densities = torch.stack([log_density(sample.prior, (c, t), noisy[b, t]) for c in range(ROWS)])
            static_scores = torch.stack([static(b, t, c) for c in range(ROWS)])
            expected = {
                "temporal_predictive": (densities.logsumexp(dim=0) - densities[b]) * (t >= warm_up),
                "static_predictive": static_scores.logsumexp(dim=0) - static_scores[b],
                "consistency": -densities[b] * (t >= warm_up),
                "centering": noisy.mean(dim=(0, 1)).square().sum(),
            }
            for name, value in expected.items():
                assert losses[name][b, t].item() == pytest.approx(value.item(), abs=2e-3), name


def test_the_histories_of_the_warm_up_are_no_candidates():
    sample, objective = example(), make(negatives="InBatch", warm_up=1)
    changed = sample.prior.map(torch.clone)
    changed.statistics["mean"][:, 0] += 3.0
    one, other = (objective(replace(sample, prior=each), DYNAMICS, key_of(0))[0] for each in (sample.prior, changed))
    assert torch.equal(one["temporal_predictive"], other["temporal_predictive"])
    assert torch.equal(one["consistency"], other["consistency"])


def test_the_temporal_term_is_invariant_to_a_shift_of_the_latents_and_the_centering_is_not():
    objective, sample = make(), example()
    losses = {}
    for name, by in (("before", 0.0), ("after", 2.0)):
        moved = [
            replace(each, stochastic=each.stochastic + by, statistics=each.statistics | {"mean": each.statistics["mean"] + by})
            for each in (sample.posterior, sample.prior)
        ]
        losses[name] = objective(replace(sample, posterior=moved[0], prior=moved[1]), DYNAMICS, key_of(0))[0]
    assert torch.allclose(losses["before"]["temporal_predictive"], losses["after"]["temporal_predictive"], atol=1e-3)
    assert losses["after"]["centering"][0, 0] > losses["before"]["centering"][0, 0] + 1


def test_the_static_term_of_collapsed_latents_is_that_of_chance():
    """All latents at one point, and no noise: no candidate differs from another, however well it is predicted."""
    fixed = torch.zeros(ROWS, TIMES, 4)
    point = Latent(deterministic=normal(ROWS, TIMES, 6), stochastic=fixed, statistics={"mean": fixed, "std": fixed + 0.1})
    objective = make("gaussian", "BilinearCritic", noise=0.0)
    sample = replace(example(posterior=point), prior=point, embedding=torch.zeros(ROWS, TIMES, 5))
    losses, metrics = objective(sample, DYNAMICS, key_of(0))
    chance = torch.tensor(float(ROWS)).log()
    assert torch.allclose(losses["temporal_predictive"], chance.expand(ROWS, TIMES))
    assert torch.allclose(losses["static_predictive"], chance.expand(ROWS, TIMES))
    assert (losses["consistency"] < -4).all()
    assert metrics["contrastive/estimate"].item() == pytest.approx(0, abs=1e-5)


def test_metrics_are_of_the_temporal_contrast_and_of_the_static_one():
    objective, sample = make(), example()
    losses, metrics = objective(sample, DYNAMICS, key_of(0))
    ceiling = torch.tensor(float(ROWS)).log().item()
    assert metrics["contrastive/ceiling"].item() == pytest.approx(ceiling)
    assert metrics["contrastive/estimate"].item() == pytest.approx(ceiling - losses["temporal_predictive"].mean().item(), abs=1e-5)
    assert metrics["contrastive/static_estimate"].item() == pytest.approx(ceiling - losses["static_predictive"].mean().item(), abs=1e-5)
    assert "contrastive/estimate_no_bound" in make(negatives="CrossSequence")(sample, DYNAMICS, key_of(0))[1]


def test_each_key_draws_other_noise():
    one, other = (make(noise=0.2)(example(), DYNAMICS, key_of(number))[0]["consistency"] for number in (0, 1))
    assert not torch.equal(one, other)
    fixed = [make(noise=0.0)(example(), DYNAMICS, key_of(number))[0]["consistency"] for number in (0, 1)]
    assert torch.equal(*fixed)


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise": -0.1}, r"TemporalPredictive.noise = -0.1"),
        ({"critic": "PriorCritic"}, r"TemporalPredictive.critic = @critics.PriorCritic does not score the posterior"),
        ({"negatives": "MemoryQueue"}, r"MemoryQueue does more than select.*TemporalPredictive.negatives"),
    ],
)
def test_parts_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)


def test_diagnostics_have_the_mass_on_false_negatives_and_the_smallest_sigma():
    diagnosed = make(negatives="WithinSequence").diagnose(example(), DYNAMICS, key_of(0))
    assert set(diagnosed) == {f"contrastive/{name}" for name in ("own_sequence_mass", "effective_rank", "sigma_smallest")}
    assert diagnosed["contrastive/own_sequence_mass"] > 0
    assert make().diagnose(example(), DYNAMICS, key_of(0))["contrastive/own_sequence_mass"] == 0


def test_a_batch_without_negatives_is_refused_by_the_diagnostics():
    """One sequence of two episodes has no other at the same step."""
    one, data = latent(1, TIMES), batch(rows=2)
    alone = replace(data, **{name: getattr(data, name)[1:] for name in ("action", "reward", "is_first", "is_terminal", "episode")})
    with pytest.raises(UserError, match=r"TemporalPredictive.negatives leaves no anchor a negative: SameTimestep"):
        make().diagnose(inferred(one, one, normal(1, TIMES, 5), alone), DYNAMICS, key_of(0))
