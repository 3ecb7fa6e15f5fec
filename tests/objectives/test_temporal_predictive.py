"""TPC: histories told apart by the prior's own density, against loops over the same step of the other sequences."""

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
from tests.tiny import DYNAMICS, ROWS, TIMES, batch, inferred, latent, latent_spec, normal, objective_sizes, requiring_gradient, seed_of


def make(kind="gaussian", critic="GaussianCritic", negatives="SameTimestep", **settings) -> TemporalPredictive:
    torch.manual_seed(0)
    held = {"critic": factory("critics", critic), "negatives": factory("negatives", negatives)}
    return build("objectives", "TemporalPredictive", **objective_sizes(latent_spec(kind)), **(held | settings))


def given(kind="gaussian", posterior=None):
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
def test_it_equals_loops_over_the_same_step_of_the_other_sequences(kind, critic, warm_up):
    objective, seen = make(kind, critic, warm_up=warm_up), given(kind)
    mean = seen.posterior.stochastic if kind == "categorical" else seen.posterior.statistics["mean"]
    blurred = mean if kind == "categorical" else mean + 0.2 * noise_of(fold_in(seed_of(0), NOISE), ROWS, TIMES, 4)
    losses, _ = objective(seen, DYNAMICS, seed_of(0))

    def static(b, t, c):
        one = replace(seen.posterior, stochastic=blurred).map(lambda part: part[b, t][None])
        return objective.critic(one, seen.embedding[c, t][None])[0, 0]

    for b in range(ROWS):
        for t in range(TIMES):
            told = torch.stack([log_density(seen.prior, (c, t), blurred[b, t]) for c in range(ROWS)])
            seen_there = torch.stack([static(b, t, c) for c in range(ROWS)])
            expected = {
                "temporal_predictive": (told.logsumexp(dim=0) - told[b]) * (t >= warm_up),
                "static_predictive": seen_there.logsumexp(dim=0) - seen_there[b],
                "consistency": -told[b] * (t >= warm_up),
                "centering": blurred.mean(dim=(0, 1)).square().sum(),
            }
            for name, value in expected.items():
                assert losses[name][b, t].item() == pytest.approx(value.item(), abs=2e-3), name


def test_with_all_steps_as_negatives_the_first_are_no_candidates_for_a_history():
    seen, objective = given(), make(negatives="InBatch", warm_up=1)
    changed = seen.prior.map(torch.clone)
    changed.statistics["mean"][:, 0] += 3.0
    one, other = (objective(replace(seen, prior=each), DYNAMICS, seed_of(0))[0] for each in (seen.prior, changed))
    assert torch.equal(one["temporal_predictive"], other["temporal_predictive"])
    assert torch.equal(one["consistency"], other["consistency"])


def test_the_temporal_term_does_not_see_where_the_latents_lie_and_the_centering_does():
    objective, seen = make(), given()
    losses = {}
    for name, by in (("here", 0.0), ("there", 2.0)):
        moved = [
            replace(each, stochastic=each.stochastic + by, statistics=each.statistics | {"mean": each.statistics["mean"] + by})
            for each in (seen.posterior, seen.prior)
        ]
        losses[name] = objective(replace(seen, posterior=moved[0], prior=moved[1]), DYNAMICS, seed_of(0))[0]
    assert torch.allclose(losses["here"]["temporal_predictive"], losses["there"]["temporal_predictive"], atol=1e-3)
    assert losses["there"]["centering"][0, 0] > losses["here"]["centering"][0, 0] + 1


def test_collapse_costs_the_static_term_all_that_it_could_win():
    """All latents at one point, and no noise: nothing is told apart, however well it is foreseen."""
    still = torch.zeros(ROWS, TIMES, 4)
    point = Latent(deterministic=normal(ROWS, TIMES, 6), stochastic=still, statistics={"mean": still, "std": still + 0.1})
    objective = make("gaussian", "BilinearCritic", noise=0.0)
    seen = replace(given(posterior=point), prior=point, embedding=torch.zeros(ROWS, TIMES, 5))
    losses, metrics = objective(seen, DYNAMICS, seed_of(0))
    chance = torch.tensor(float(ROWS)).log()
    assert torch.allclose(losses["temporal_predictive"], chance.expand(ROWS, TIMES))
    assert torch.allclose(losses["static_predictive"], chance.expand(ROWS, TIMES))
    assert (losses["consistency"] < -4).all()
    assert metrics["contrastive/estimate"].item() == pytest.approx(0, abs=1e-5)


def test_what_is_logged_is_the_temporal_contrast_and_the_static_one_beside_it():
    objective, seen = make(), given()
    losses, metrics = objective(seen, DYNAMICS, seed_of(0))
    ceiling = torch.tensor(float(ROWS)).log().item()
    assert metrics["contrastive/ceiling"].item() == pytest.approx(ceiling)
    assert metrics["contrastive/estimate"].item() == pytest.approx(ceiling - losses["temporal_predictive"].mean().item(), abs=1e-5)
    assert metrics["contrastive/static_estimate"].item() == pytest.approx(ceiling - losses["static_predictive"].mean().item(), abs=1e-5)
    assert "contrastive/estimate_no_bound" in make(negatives="CrossSequence")(seen, DYNAMICS, seed_of(0))[1]


def test_the_noise_is_drawn_anew_for_each_seed_and_has_its_size():
    one, other = (make(noise=0.2)(given(), DYNAMICS, seed_of(number))[0]["consistency"] for number in (0, 1))
    assert not torch.equal(one, other)
    still = [make(noise=0.0)(given(), DYNAMICS, seed_of(number))[0]["consistency"] for number in (0, 1)]
    assert torch.equal(*still)


def test_every_term_reaches_what_it_says():
    objective, seen = make(), given()
    posterior, prior = requiring_gradient(seen.posterior), requiring_gradient(seen.prior)
    embedding = seen.embedding.clone().requires_grad_()
    losses, _ = objective(replace(seen, posterior=posterior, prior=prior, embedding=embedding), DYNAMICS, seed_of(0))
    leaves = [posterior.statistics["mean"], prior.statistics["mean"], prior.statistics["std"], embedding]
    expected = {
        "temporal_predictive": [True, True, True, False],
        "static_predictive": [True, False, False, True],
        "consistency": [True, True, True, False],
        "centering": [True, False, False, False],
    }
    for name, reached in expected.items():
        found = torch.autograd.grad(losses[name].sum(), leaves, retain_graph=True, allow_unused=True)
        assert [gradient is not None and bool(gradient.abs().sum() > 0) for gradient in found] == reached, name


def test_a_straight_through_sample_is_not_blurred():
    seen = given("categorical")
    losses = [make("categorical", "CategoricalCritic")(seen, DYNAMICS, seed_of(number))[0] for number in (0, 1)]
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise": -0.1}, r"TemporalPredictive.noise = -0.1"),
        ({"critic": "PriorCritic"}, r"TemporalPredictive.critic = @critics.PriorCritic does not score the posterior"),
        ({"critic": "MultiHorizonCritic"}, r"does not score the posterior against one embedding"),
        ({"negatives": "MemoryQueue"}, r"MemoryQueue does more than select.*TemporalPredictive.negatives"),
    ],
)
def test_parts_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)


def test_a_warm_up_as_long_as_the_sequences_is_refused():
    with pytest.raises(UserError, match=rf"TemporalPredictive.warm_up = {TIMES} leaves nothing of a sequence"):
        make(warm_up=TIMES)(given(), DYNAMICS, seed_of(0))


def test_it_says_on_request_where_false_negatives_would_be_and_how_sharp_the_critic_is():
    said = make(negatives="WithinSequence").diagnose(given(), DYNAMICS, seed_of(0))
    assert set(said) == {f"contrastive/{name}" for name in ("own_sequence_mass", "effective_rank", "sigma_smallest")}
    assert said["contrastive/own_sequence_mass"] > 0
    assert make().diagnose(given(), DYNAMICS, seed_of(0))["contrastive/own_sequence_mass"] == 0


def test_a_batch_without_negatives_is_refused_where_it_is_read():
    """One sequence of two episodes has no other at the same step."""
    one, data = latent(1, TIMES), batch(rows=2)
    alone = replace(data, **{name: getattr(data, name)[1:] for name in ("action", "reward", "is_first", "is_terminal", "episode")})
    with pytest.raises(UserError, match=r"TemporalPredictive.negatives leaves no anchor a negative: SameTimestep"):
        make().diagnose(inferred(one, one, normal(1, TIMES, 5), alone), DYNAMICS, seed_of(0))
