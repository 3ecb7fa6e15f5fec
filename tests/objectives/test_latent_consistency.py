"""Latent consistency: rolled forward by hand, one start and one step at a time."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from framework.errors import UserError
from framework.objectives.latent_consistency import LatentConsistency
from tests.tiny import DYNAMICS, ROWS, TIMES, batch, inferred, latent, latent_spec, normal, objective_sizes, requiring_gradient, seed_of


def make(kind="gaussian", **settings) -> LatentConsistency:
    torch.manual_seed(0)
    return LatentConsistency(**objective_sizes(latent_spec(kind)), **settings)


def given(kind="gaussian"):
    spec = latent_spec(kind)
    torch.manual_seed(1)
    return inferred(latent(ROWS, TIMES, spec=spec), latent(ROWS, TIMES, spec=spec, seed=5), normal(ROWS, TIMES, 5, seed=3), batch())


def naive(objective, seen, target, distance):
    """The loss of every step, each start rolled alone."""
    losses = torch.zeros(ROWS, TIMES)
    for b in range(ROWS):
        for t in range(TIMES):
            believed = seen.posterior.map(lambda part, at=(b, t): part[at][None])
            for k in range(1, objective.horizon + 1):
                if t + k >= TIMES or seen.batch.is_first[b, t + 1 : t + k + 1].any():
                    break
                believed = seen.dynamics.imagine_step(believed, seen.batch.action[b, t + k][None], torch.zeros(1, 4))
                expected = objective.map(believed.features)[0]
                found = target[b, t + k]
                apart = (expected - found).square().mean() if distance == "squared" else 1 - F.cosine_similarity(expected, found, dim=0)
                losses[b, t] += objective.discount ** (k - 1) * apart.detach() / objective.horizon
    return losses


@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
@pytest.mark.parametrize("distance", ["squared", "cosine"])
@pytest.mark.parametrize(("target", "slow_rate"), [("latent", None), ("embedding", None), ("embedding", 0.01)])
def test_it_equals_rolls_of_one_start_at_a_time(kind, distance, target, slow_rate):
    objective, seen = make(kind, distance=distance, target=target, slow_rate=slow_rate, discount=0.7), given(kind)
    goal = {"latent": seen.posterior.features, "embedding": seen.embedding if slow_rate is None else seen.slow_embedding}[target]
    losses, _ = objective(seen, DYNAMICS, seed_of(0))
    expected = naive(objective, seen, goal, distance)
    assert torch.allclose(losses["latent_consistency"], expected, atol=1e-5)
    assert (expected[:, -1] == 0).all()
    assert expected[1, 1] == 0
    assert (expected > 0).sum() == ROWS * (TIMES - 1) - 1


def test_a_dynamics_that_foresees_everything_loses_nothing():
    """The posterior is what the prior expects, step by step."""
    objective, seen = make(horizon=2), given()
    steps = [seen.dynamics.initial(ROWS)]
    for t in range(1, TIMES):
        steps.append(seen.dynamics.imagine_step(steps[-1], seen.batch.action[:, t], torch.zeros(ROWS, 4)))
    posterior = type(steps[0]).stack(steps, dim=1)
    found = objective(replace(seen, posterior=posterior), DYNAMICS, seed_of(0))
    assert found[0]["latent_consistency"].abs().max() < 1e-9
    assert found[1]["model/consistency_next_step"] < 1e-9


def test_what_is_logged_is_the_first_step():
    objective, seen = make(horizon=1), given()
    losses, metrics = objective(seen, DYNAMICS, seed_of(0))
    counted = losses["latent_consistency"] > 0
    assert metrics["model/consistency_next_step"].item() == pytest.approx(losses["latent_consistency"][counted].mean().item(), abs=1e-6)


def test_the_target_gets_no_gradient_and_the_dynamics_does():
    objective, seen = make(horizon=1, target="embedding"), given()
    posterior, embedding = requiring_gradient(seen.posterior), seen.embedding.clone().requires_grad_()
    loss = objective(replace(seen, posterior=posterior, embedding=embedding), DYNAMICS, seed_of(0))[0]["latent_consistency"].sum()
    parameters = [parameter for name, parameter in seen.dynamics.named_parameters() if "prior" in name or "cell" in name]
    found = torch.autograd.grad(loss, [embedding, posterior.stochastic, *parameters], allow_unused=True)
    assert found[0] is None
    assert (found[1][:, :-1].abs().sum(dim=-1) > 0).sum() == ROWS * (TIMES - 1) - 1
    assert len(parameters) >= 4
    assert all(gradient is not None and gradient.isfinite().all() for gradient in found[2:])
    assert sum(bool(gradient.abs().sum() > 0) for gradient in found[2:]) >= 4


def test_the_latent_as_a_target_gets_no_gradient():
    """The last step of a sequence is a target alone."""
    seen = given()
    posterior = requiring_gradient(seen.posterior)
    loss = make()(replace(seen, posterior=posterior), DYNAMICS, seed_of(0))[0]["latent_consistency"].sum()
    (gradient,) = torch.autograd.grad(loss, [posterior.stochastic])
    assert (gradient[:, -1] == 0).all()
    assert (gradient[0, :-1].abs().sum(dim=-1) > 0).all()


def test_the_slow_encoder_is_asked_for_by_its_rate():
    assert make().slow_rate is None
    assert make(target="embedding", slow_rate=0.01).slow_rate == 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 0}, r"LatentConsistency.horizon = 0 must be at least 1"),
        ({"discount": 0.0}, r"LatentConsistency.discount = 0.0 above 0"),
        ({"slow_rate": 0.01}, r"only embeddings come from; bind LatentConsistency.target = 'embedding'"),
        ({"target": "embedding", "slow_rate": 2.0}, r"LatentConsistency.slow_rate = 2.0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)


def test_a_horizon_beyond_the_sequences_is_refused():
    with pytest.raises(UserError, match=rf"LatentConsistency.horizon = {TIMES}, and sequences are {TIMES} steps long.*Replay.length"):
        make(horizon=TIMES)(given(), DYNAMICS, seed_of(0))
