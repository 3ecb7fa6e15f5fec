"""The prior as a score: the density of each posterior sample under each prior."""

import pytest
import torch
from torch import distributions as td

from framework.critics.prior_critic import PriorCritic
from framework.errors import UserError
from framework.functional import contrastive
from framework.objectives.infonce import InfoNCE
from tests.members import factory
from tests.tiny import (
    ACTIONS,
    DYNAMICS,
    LATENT,
    OBSERVATIONS,
    ROWS,
    TIMES,
    batch,
    inferred,
    key_of,
    latent,
    latent_spec,
    normal,
    requiring_gradient,
)


def objective(**settings) -> InfoNCE:
    return InfoNCE(
        latent=LATENT,
        embedding_size=5,
        observation=OBSERVATIONS["both"],
        action=ACTIONS["continuous"],
        critic=factory("critics", "PriorCritic"),
        negatives=factory("negatives", "SameTimestep"),
        bound=factory("bounds", "InfoNCEBound"),
        **settings,
    )


def test_it_is_the_density_of_the_candidate_under_the_anchors_prior():
    critic = PriorCritic(latent=LATENT, embedding_size=5)
    prior, samples = latent(4), normal(6, LATENT.stochastic, seed=3)
    prior.statistics["std"] = normal(4, LATENT.stochastic, seed=9).exp() + 0.1
    scores = critic(prior, samples)
    for i in range(4):
        density = td.Normal(prior.statistics["mean"][i].double(), prior.statistics["std"][i].double())
        for j in range(6):
            assert scores[i, j].item() == pytest.approx(density.log_prob(samples[j].double()).sum().item(), abs=1e-3)


def test_its_sigma_has_a_floor():
    critic = PriorCritic(latent=LATENT, embedding_size=5, minimum_std=0.5)
    prior, samples = latent(4), normal(6, LATENT.stochastic, seed=3)
    prior.statistics["std"] = torch.full_like(prior.stochastic, 0.5)
    expected = critic(prior, samples)
    prior.statistics["std"] = torch.full_like(prior.stochastic, 1e-8)
    assert torch.equal(critic(prior, samples), expected)
    with pytest.raises(UserError, match=r"PriorCritic.minimum_std = 0.0 must be positive"):
        PriorCritic(latent=LATENT, embedding_size=5, minimum_std=0.0)


def test_a_categorical_prior_scores_by_its_logits():
    spec = latent_spec("categorical")
    critic, prior, samples = PriorCritic(latent=spec, embedding_size=5), latent(4, spec=spec), latent(6, spec=spec, seed=3).stochastic
    logs = prior.statistics["logits"].reshape(4, 2, 2).log_softmax(dim=-1).reshape(4, 4)
    assert torch.allclose(critic(prior, samples), logs @ samples.T, atol=1e-6)


def test_the_objective_contrasts_histories_and_trains_prior_and_posterior():
    """Temporal predictive coding: the target is fixed, and the denominator runs over the histories of the same step."""
    posterior, prior = requiring_gradient(latent(ROWS, TIMES)), requiring_gradient(latent(ROWS, TIMES, seed=5))
    made = objective(anchor="prior", axis="column")
    losses, metrics = made(inferred(posterior, prior, normal(ROWS, TIMES, 5), batch()), DYNAMICS, key_of(0))
    for b in range(ROWS):
        for t in range(TIMES):
            densities = [
                td.Normal(prior.statistics["mean"][other, t], prior.statistics["std"][other, t]).log_prob(posterior.stochastic[b, t]).sum()
                for other in range(ROWS)
            ]
            naive = torch.logsumexp(torch.stack(densities), dim=0) - densities[b]
            assert losses["infonce"][b, t].item() == pytest.approx(naive.item(), abs=1e-4)
    gradients = torch.autograd.grad(losses["infonce"].sum(), [posterior.stochastic, prior.statistics["mean"], prior.statistics["std"]])
    assert all((gradient.abs().sum(dim=-1) > 0).all() for gradient in gradients)
    assert metrics["contrastive/ceiling"].item() == pytest.approx(contrastive.log_candidates(torch.zeros(1, ROWS)).item())


def test_the_posterior_as_anchor_and_the_row_axis_are_refused():
    with pytest.raises(UserError, match=r"PriorCritic needs the prior, and InfoNCE.anchor = 'posterior'; bind InfoNCE.anchor = 'prior'"):
        objective(axis="column")
    with pytest.raises(UserError, match=r"InfoNCE.axis = 'row' does not fit PriorCritic.*bind InfoNCE.axis = 'column'"):
        objective(anchor="prior")
