"""The objectives that replace a decoder equal their references: Barlow Twins, InfoNCE, TPC, prototypes and latent consistency."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from framework.bounds.infonce_bound import InfoNCEBound
from framework.critics.bilinear_critic import BilinearCritic
from framework.critics.gaussian_critic import GaussianCritic
from framework.data import InferredBatch, Losses
from framework.dynamics.gaussian_rssm import GaussianRSSM
from framework.dynamics.memoryless_ssm import MemorylessSSM
from framework.functional.random import fold_in
from framework.functional.random import normal as unit_noise
from framework.negatives.in_batch import InBatch
from framework.negatives.rolling_window import RollingWindow
from framework.negatives.same_timestep import SameTimestep
from framework.objectives.barlow_twins import BarlowTwins
from framework.objectives.base import Objective
from framework.objectives.infonce import InfoNCE
from framework.objectives.latent_consistency import LatentConsistency
from framework.objectives.prototypes import Prototypes
from framework.objectives.temporal_predictive import NOISE, TemporalPredictive
from framework.specs import ActionSpec, LatentSpec, ModelSpecs
from framework.testing.samples import key_of
from tests.reference import infonce, prototypes, r2dreamer, tdmpc2, tpc
from tests.reference.copies import (
    BOUNDARIES,
    ROWS,
    TIMES,
    VECTOR,
    array,
    assert_equal,
    inferred_batch,
    linears,
    perceptron,
    perturb,
)
from tests.reference.layers import softplus

MODEL = ModelSpecs(LatentSpec(deterministic=6, stochastic=4, kind="gaussian"), 5, VECTOR, ActionSpec(kind="continuous", sizes=(2,)))
DYNAMICS = GaussianRSSM(embedding_size=5, action_size=2, deterministic=6, stochastic=4, hidden=7)


def losses_of(objective: Objective, inferred: InferredBatch, seed: int = 0) -> Losses:
    perturb(objective, seed)
    return objective(inferred, DYNAMICS, key_of(seed))[0]


def flat(tensor: Tensor) -> np.ndarray:
    return array(tensor).reshape(ROWS * TIMES, -1)


@pytest.mark.parametrize("seed", [0, 1])
def test_barlow_twins_equals_the_reference(seed):
    objective, inferred = BarlowTwins(model=MODEL), inferred_batch(seed)
    losses = losses_of(objective, inferred, seed)
    expected = r2dreamer.barlow_loss(perceptron(objective)(flat(inferred.features)), flat(inferred.embedding), 5e-4)
    assert_equal(losses["barlow"].mean(), expected)


def test_the_projector_of_barlow_twins_begins_from_a_truncated_normal():
    """As every layer of r2dreamer, with the deviation `1 / sqrt(F)`."""
    ((weight, _),) = linears(BarlowTwins(model=replace(MODEL, embedding_size=1000)))
    assert weight.std() == pytest.approx(10**-0.5, rel=0.05)


def gaussian_scores(critic: GaussianCritic, inferred: InferredBatch) -> np.ndarray:
    mean, raw = np.split(perceptron(critic)(flat(inferred.embedding)), 2, axis=-1)
    value = inferred.features if critic.density == "feature" else inferred.posterior.stochastic
    return infonce.density_scores(flat(value), mean, softplus(raw) + 0.1)


def bilinear_scores(critic: BilinearCritic, inferred: InferredBatch) -> np.ndarray:
    return perceptron(critic)(flat(inferred.features)) @ flat(inferred.embedding).T


@pytest.mark.parametrize(
    ("critic", "scores", "axis", "loss"),
    [
        (partial(GaussianCritic, units=7, layers=2), gaussian_scores, "row", infonce.row_loss),
        (partial(GaussianCritic, units=7, layers=2, density="feature"), gaussian_scores, "column_as_released", infonce.column_loss),
        (BilinearCritic, bilinear_scores, "row", infonce.row_loss),
        (BilinearCritic, bilinear_scores, "column", infonce.column_loss),
    ],
)
@pytest.mark.parametrize(
    ("negatives", "kept"),
    [(InBatch, np.ones((15, 15), dtype=bool)), (partial(RollingWindow, rows=2, times=3), infonce.rolled_window(ROWS, TIMES, 2, 3))],
)
def test_infonce_equals_the_reference(critic, scores, axis, loss, negatives, kept):
    objective, inferred = InfoNCE(model=MODEL, critic=critic, negatives=negatives, bound=InfoNCEBound, axis=axis), inferred_batch(0)
    losses = losses_of(objective, inferred)
    assert_equal(losses["infonce"].flatten(), loss(scores(objective.critic, inferred), kept))


@pytest.mark.parametrize("name", TemporalPredictive.losses)
@pytest.mark.parametrize(("noise", "warm_up"), [(0.0, 0), (0.2, 0), (0.2, 1)])
@pytest.mark.parametrize("seed", [0, 1])
def test_tpc_equals_the_reference(seed, name, noise, warm_up):
    critic = partial(GaussianCritic, deviation="fixed", minimum_std=0.2, units=7, layers=2)
    objective = TemporalPredictive(model=MODEL, critic=critic, negatives=SameTimestep, warm_up=warm_up, noise=noise)
    inferred = inferred_batch(seed, "a time limit inside")
    losses = losses_of(objective, inferred, seed)
    mean, prior_mean, prior_std = (
        array(statistics) for statistics in (inferred.posterior.statistics["mean"], *inferred.prior.statistics.values())
    )
    blurred = mean + noise * array(unit_noise(fold_in(key_of(seed), NOISE), *mean.shape))
    expected = {
        "temporal_predictive": tpc.temporal_loss(blurred, prior_mean, prior_std, warm_up),
        "static_predictive": tpc.static_loss(blurred, perceptron(objective.critic)(array(inferred.embedding))),
        "consistency": tpc.consistency_loss(mean, prior_mean, prior_std, warm_up),
        "centering": tpc.centering_loss(mean),
    }
    assert_equal(losses[name].mean(), expected[name])


def test_the_posterior_of_tpc_has_the_deviation_of_the_prior():
    settings = {"deterministic": 6, "stochastic": 4, "deviation": "prior", "kl_scale": 0.0}
    dynamics, inferred = MemorylessSSM(embedding_size=5, action_size=2, **settings), inferred_batch(0)
    perturb(dynamics, 0)
    batch, noise = inferred.batch, torch.zeros(ROWS, TIMES, 4)
    posterior, prior = dynamics.observe(inferred.embedding, batch.action, batch.is_first, dynamics.initial(ROWS), noise)
    assert_equal(posterior.statistics["std"], array(prior.statistics["std"]))
    assert not posterior.statistics["std"].requires_grad


@pytest.mark.parametrize("warm_up", [0, 1])
@pytest.mark.parametrize("name", Prototypes.losses)
@pytest.mark.parametrize("seed", [0, 1])
def test_prototypes_equal_the_reference(seed, name, warm_up):
    objective = Prototypes(model=MODEL, prototypes=7, size=4, epsilon=0.05, frozen_updates=0, warm_up=warm_up)
    inferred = inferred_batch(seed)
    perturb(objective, seed)
    objective.after_update(inferred, DYNAMICS, key_of(seed))
    losses, _ = objective(inferred, DYNAMICS, key_of(seed))
    from_embedding, from_latent, slow_from_embedding = (
        perceptron(module) for module in (objective.from_embedding, objective.from_latent, objective.slow_from_embedding)
    )
    expected = prototypes.losses(
        views=[from_embedding(array(view)) for view in (inferred.embedding, inferred.second.embedding)],
        slow_views=[slow_from_embedding(array(view)) for view in (inferred.slow_embedding, inferred.second.slow_embedding)],
        latents=from_latent(array(inferred.features)),
        prototypes=array(objective.prototypes),
        epsilon=0.05,
        warm_up=warm_up,
    )
    assert_equal(losses[name].mean(), expected[name])


def test_prototypes_have_unit_length_at_first_and_after_an_update():
    objective, inferred = Prototypes(model=MODEL, prototypes=7, size=4), inferred_batch(0)
    assert_equal(objective.prototypes.norm(dim=-1), np.ones(7))
    perturb(objective, 0)
    objective.after_update(inferred, DYNAMICS, key_of(0))
    assert_equal(objective.prototypes.norm(dim=-1), np.ones(7))


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_latent_consistency_equals_the_reference(boundary):
    objective, inferred = LatentConsistency(model=MODEL, horizon=2), inferred_batch(0, boundary)
    losses = losses_of(objective, inferred)
    latent, predicted = inferred.posterior.flatten(), []
    for step in (1, 2):
        action = inferred.batch.action.roll(-step, dims=1).flatten(0, 1)
        latent = DYNAMICS.imagine_step(latent, action, torch.zeros_like(latent.stochastic))
        predicted.append(array(latent.features).reshape(ROWS, TIMES, -1))
    expected = tdmpc2.consistency_loss(predicted, array(inferred.features), array(inferred.batch.episode))
    assert_equal(losses["latent_consistency"].mean(), expected)
